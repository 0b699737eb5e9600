import db.locks
from settings import Settings
from tests.databases import connected


def test_one_sweeper_works_at_a_time_and_the_next_may_when_it_ends(fresh: Settings) -> None:
    with connected(fresh.database_worker_url) as first, connected(fresh.database_worker_url) as second:
        assert [db.locks.try_sweep(one) for one in (first, second)] == [True, False]
        first.rollback()
        assert db.locks.try_sweep(second)
