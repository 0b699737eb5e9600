"""Where reads go that may be a little old: to the replica while it is fresh enough, otherwise to the primary.

What a caller may do and what they submit is never decided by a replica. What a replica does not know yet is looked for
on the primary, so that nobody who was given an id is told that there is no such thing.
"""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import structlog
from prometheus_client import Counter

from api.replica import ERRORS, Replica
from db.async_engine import AsyncTransactions
from db.engine import Connection

reads = Counter("tekana_reads", "Reads that a replica may answer, by what became of that.", ["outcome"])
ANSWERED = reads.labels("replica")
UNKNOWN = reads.labels("not_there_yet")  # And so asked of the primary, as are:
FAILED = reads.labels("failed")
PRIMARY = reads.labels("primary")  # Without a try: there is no replica, or what it shows is too old.

log = structlog.get_logger()

P = ParamSpec("P")
R = TypeVar("R")


class Reads:
    def __init__(self, primary: AsyncTransactions, replica: Replica | None = None) -> None:
        self._primary = primary
        self._replica = replica

    async def run(self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what `function` reads; None of the replica means that the primary is asked."""
        found = await self.glance(function, *args, **kwargs)
        return await self._primary.run(function, *args, **kwargs) if found is None else found

    async def glance(
        self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        """Return what `function` reads on the replica; None when it knows nothing, or is not asked."""
        if self._replica is None or not self._replica.is_usable():
            PRIMARY.inc()
            return None
        try:
            found = await self._replica.run(function, *args, **kwargs)
        except ERRORS as error:
            FAILED.inc()
            log.warning("read on the primary instead", error=str(error))
            return None
        (UNKNOWN if found is None else ANSWERED).inc()
        return found

    def current(self) -> "Reads":
        """Return reads of what is true now."""
        return Reads(self._primary)

    async def close(self) -> None:
        if self._replica is not None:
            await self._replica.close()
