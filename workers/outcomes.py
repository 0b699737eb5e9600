"""What came of deliveries, written down: what ends while one record is being written goes with the next."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog

import db.deliveries
import db.webhooks
from db.async_engine import AsyncTransactions
from db.deliveries import Recorded
from db.engine import Connection
from db.webhooks import Health

RETRY_SECONDS = 0.5  # After an error of the database.
LAST_SECONDS = 5.0  # A database that was restarted is back by then; a worker that takes longer to stop is killed.

log = structlog.get_logger()


class Outcomes:
    """Gathers outcomes and records them, all that there are in one transaction. Belongs to one event loop."""

    def __init__(self, database: AsyncTransactions, disable_after_seconds: int) -> None:
        self._database = database
        self._disable_after_seconds = disable_after_seconds
        self._waiting: list[tuple[Recorded, Health | None]] = []
        self._arrived = asyncio.Event()
        self.is_behind = False  # Whether the latest record failed.

    def add(self, outcome: Recorded, health: Health | None) -> None:
        self._waiting.append((outcome, health))
        self._arrived.set()

    async def record_forever(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            self.is_behind = not await self._try()
            if self.is_behind:
                self._arrived.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def finish(self) -> None:
        """Record what is left, with patience, for nobody will do it later."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                while not await self._try():  # noqa: ASYNC110 - nobody tells that the database is back
                    await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            log.error("outcomes lost: these are sent again", deliveries=[str(one.id) for one, _ in self._waiting])  # noqa: TRY400 - how it ended says nothing

    async def _try(self) -> bool:
        try:
            await self.record()
        except Exception as error:  # noqa: BLE001 - whatever it was, what has ended must be recorded
            log.warning("outcomes not recorded", waiting=len(self._waiting), error=str(error))
            return False
        return True

    async def record(self) -> None:
        """Write all that wait. Done twice, after a commit whose answer was lost, it changes nothing."""
        ended = list(self._waiting)
        if ended:
            await self._database.run(_write, ended, self._disable_after_seconds)
            del self._waiting[: len(ended)]


def _write(connection: Connection, ended: Sequence[tuple[Recorded, Health | None]], disable_after_seconds: int) -> None:
    db.deliveries.record(connection, [recorded for recorded, _ in ended])
    seen = _merged([health for _, health in ended if health is not None])
    if seen:
        for one in db.webhooks.note_health(connection, seen, disable_after_seconds):
            log.warning("endpoint disabled", endpoint_id=one.endpoint_id, reason=one.disabled_reason)


def _merged(seen: Sequence[Health]) -> list[Health]:
    """Return one finding an endpoint: one success among many failures is a success."""
    found: dict[UUID, Health] = {}
    for one in seen:
        before = found.get(one.endpoint_id, one)
        found[one.endpoint_id] = Health(
            endpoint_id=one.endpoint_id,
            succeeded=one.succeeded or before.succeeded,
            is_gone=one.is_gone or before.is_gone,
            pause_seconds=max(one.pause_seconds, before.pause_seconds),
        )
    return [found[endpoint_id] for endpoint_id in sorted(found)]
