"""The head of the ledger's chain, for whoever keeps it elsewhere."""

from litestar import get

import db.chain
from api.runtime import CallerRequest, reads
from domain.access import Access, Scope
from domain.chain import Block

READ = {"access": Access(scope=Scope.TRANSACTIONS_READ)}


@get("/v1/audit/head", opt=READ, tags=["audit"])
async def get_head(request: CallerRequest) -> Block:
    """Return the latest block of the ledger's hash chain: a fingerprint of all that was posted until then.

    Keep it where the system's operators cannot write. `tekana audit verify --head BLOCK:HEAD` says whether it still
    holds: nothing before it was changed, taken away or put in between.
    """
    return await reads(request).run(db.chain.latest)


ROUTES = [get_head]
