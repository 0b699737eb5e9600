"""A filled ledger is as real as one that grew: the audit finds nothing, and it may grow on."""

import pytest
from sqlalchemy import text

import db.audit
import db.chain
from bench.fill import TooFew, fill
from settings import Settings
from tests import databases, made

ROWS = {"customers": 30, "wallets": 36, "entries": 400}
COUNTS = text("""
    SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM wallets WHERE customer_id IS NOT NULL),
           (SELECT count(*) FROM entries), (SELECT count(*) FROM jobs), (SELECT count(*) FROM pg_indexes)
""")


def test_the_books_are_right_also_when_it_grows_twice(fresh: Settings) -> None:
    with databases.connected(fresh.database_url) as owner:
        indexes = owner.execute(COUNTS).one()[-1]
    for _ in range(2):
        fill(fresh.database_url, **ROWS, seal_key=made.SEAL_KEY)
    with databases.connected(fresh.database_url) as owner:
        assert owner.execute(COUNTS).one() == (60, 72, 800, 460, indexes)
        assert db.chain.latest(owner).transactions == 400
        assert db.chain.extend(owner) == 0
        made.deposit(owner, made.wallet(owner), 1_00)
        owner.commit()
    found = [finding for _, findings in db.audit.verify(fresh.database_url, made.SEAL_KEY) for finding in findings]
    assert found == []


@pytest.mark.parametrize("few", [{"customers": 37}, {"wallets": 29}, {"entries": 71}, {"customers": 1}])
def test_rows_that_cannot_be_are_refused(few: dict[str, int]) -> None:
    with pytest.raises(TooFew, match=f"{next(iter(few))}={next(iter(few.values()))}"):
        fill("postgresql://", **(ROWS | few), seal_key=made.SEAL_KEY)
