"""Callbacks: one address that is told of one job's end, signed with the secret of the caller's API key."""

from uuid import UUID

from cachetools import LRUCache

import db.secrets
import db.webhooks
from api.errors import Invalid
from db.async_engine import AsyncTransactions
from domain.addresses import parse_url

FIELD = "callback_url"
KEY = "key:"
KEYS_MAX = 10_000  # API keys of which it is remembered that they have a secret: 2 MB.


class Callbacks:
    def __init__(self, database: AsyncTransactions, *, allow_loopback: bool) -> None:
        self._database = database
        self._allow_loopback = allow_loopback
        self._known: LRUCache[UUID, bool] = LRUCache(KEYS_MAX)

    async def accept(self, url: str | None, caller: str) -> str | None:
        """Return the address as it will be called; `caller` is who submits the job.

        Raises:
            Invalid: it is not an address that may be called, or there is no secret to sign with.

        """
        if url is None:
            return None
        if not caller.startswith(KEY):
            raise Invalid(FIELD, "only with an API key that may make this job: its secret signs the message")
        address = parse_url(url, FIELD, allow_loopback=self._allow_loopback)
        key_id = UUID(caller.removeprefix(KEY))
        if key_id not in self._known:
            if not await self._database.run(db.secrets.has_secret, key_id):
                raise Invalid(FIELD, "this API key has no secret yet: POST /v1/callbacks/rotate-secret")
            self._known[key_id] = True
        return address
