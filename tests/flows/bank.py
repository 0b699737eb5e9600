"""A bank checker: while money moves, one snapshot after the other must hold the same total."""

from sqlalchemy import Row, text
from sqlalchemy.exc import DBAPIError

from tests.flows.onlookers import Onlooker
from tests.flows.world import World

# One statement sees one snapshot: half a transfer changes the total, and each balance is that of the last entry.
TOTALS = text("""
    SELECT sum(balance) AS held,
           count(*) FILTER (WHERE sequence > 0 AND balance IS DISTINCT FROM (
               SELECT balance_after FROM entries WHERE wallet_id = wallets.id ORDER BY entries.sequence DESC LIMIT 1
           )) AS differing
      FROM wallets WHERE customer_id IS NOT NULL
""")


class Bank(Onlooker):
    """Looks on from a thread of its own while nothing but transfers happens; at its exit, fails if a look was wrong."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.looks = 0
        self._world = world
        self._expected = (_totals(world).held, 0)
        self._wrong: list[Row[tuple[object, ...]]] = []

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        assert self._wrong == []
        assert self.looks > 0

    def look(self) -> None:
        try:
            found = _totals(self._world)
        except DBAPIError:  # PostgreSQL is away, which is part of the trial.
            return
        self.looks += 1
        if (found.held, found.differing) != self._expected:
            self._wrong.append(found)


def _totals(world: World) -> Row[tuple[object, ...]]:
    with world.tx() as tx:
        return tx.execute(TOTALS).one()
