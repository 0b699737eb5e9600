"""Months of events and deliveries: room is made ahead, old ones are dropped whole, and nobody waits for it for long."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from uuid_utils.compat import uuid7

import db.deliveries
import db.partitions
from db.engine import is_retryable
from tests import databases, made

TABLES = ["events", "webhook_deliveries"]
DAYS = 30
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=400)
WAIT_MAX = 10.0  # Seconds: a hundred times LOCK_WAIT, on a machine that does other things too.


@pytest.mark.parametrize("table", TABLES)
def test_a_month_is_added_once_and_takes_the_rows_of_its_time(worker_tx: Connection, table: str) -> None:
    month = NOW + timedelta(days=120)
    assert [db.partitions.add(worker_tx, table, month) for _ in range(2)] == [True, False]
    assert f"{table}_{month:%Y_%m}" in partitions(worker_tx, table)


def test_what_no_month_has_is_kept_and_its_month_is_not_added_any_more(tx: Connection) -> None:
    month = NOW + timedelta(days=120)
    tx.execute(TELL, {"at": month})
    assert tx.scalar(text("SELECT count(*) FROM events_default")) == 1
    assert not db.partitions.add(tx, "events", month)


def test_the_oldest_month_goes_first_and_one_at_a_time(tx: Connection) -> None:
    older(tx, "events", LONG_AGO, LONG_AGO + timedelta(days=40))
    tx.execute(TOLD)
    assert [db.partitions.drop_oldest(tx, "events", DAYS) for _ in range(3)] == [
        f"events_{LONG_AGO:%Y_%m}",
        f"events_{LONG_AGO + timedelta(days=40):%Y_%m}",
        None,
    ]


def test_nothing_younger_than_a_week_is_dropped_whatever_is_asked(worker_tx: Connection) -> None:
    assert [db.partitions.drop_oldest(worker_tx, table, -9_999) for table in TABLES] == [None, None]


@pytest.mark.parametrize("call", ["add_partition('jobs', now())", "drop_partition('entries', now())"])
def test_no_other_table_is_touched(worker_tx: Connection, call: str) -> None:
    with pytest.raises(DBAPIError, match="is not partitioned"):
        worker_tx.execute(text(f"SELECT {call}"))


def test_an_event_that_waits_to_be_told_is_kept(tx: Connection) -> None:
    older(tx, "events", LONG_AGO)
    tx.execute(TELL, {"at": LONG_AGO})
    assert db.partitions.drop_oldest(tx, "events", DAYS) is None


def test_a_delivery_that_is_pending_is_kept_and_so_is_its_event(tx: Connection) -> None:
    older(tx, "events", LONG_AGO)
    older(tx, "webhook_deliveries", LONG_AGO)
    event_id = tx.scalar(TELL, {"at": LONG_AGO})
    tx.execute(TOLD)
    delivery_id = made.delivery(tx, made.endpoint(tx, made.api_key(tx)), event_id)
    old_id = tx.scalar(text("UPDATE webhook_deliveries SET id = uuid7(:at, id) RETURNING id"), {"at": LONG_AGO})
    assert old_id != delivery_id
    assert [db.partitions.drop_oldest(tx, table, DAYS) for table in TABLES] == [None, None]
    tx.execute(text("UPDATE webhook_deliveries SET state = 'succeeded', finished_at = now()"))
    assert all(db.partitions.drop_oldest(tx, table, DAYS) for table in TABLES)


def test_a_delivery_whose_event_is_forgotten_is_not_sent_again(tx: Connection) -> None:
    older(tx, "events", LONG_AGO)
    event_id = tx.scalar(TELL, {"at": LONG_AGO})
    delivery_id = made.delivery(tx, made.endpoint(tx, made.api_key(tx)), event_id)
    tx.execute(text(f"DROP TABLE events_{LONG_AGO:%Y_%m}"))
    assert db.deliveries.repeat(tx, delivery_id, uuid7()) is None


def test_history_in_a_partition_is_not_edited_either(tx: Connection) -> None:
    older(tx, "events", LONG_AGO)
    with pytest.raises(DBAPIError, match="is append-only"):
        tx.exec_driver_sql(f"DELETE FROM events_{LONG_AGO:%Y_%m}")  # noqa: S608 - a month


def test_who_reads_for_long_is_left_alone_and_nobody_waits_behind_the_drop(
    tx: Connection, worker_tx: Connection, api_tx: Connection
) -> None:
    older(tx, "events", LONG_AGO)
    tx.execute(TOLD)
    tx.commit()
    tx.execute(text("SELECT count(*) FROM events"))  # A backup, or an audit: its lock stays.
    waits: list[float] = []
    worker_tx.execute(PATIENTLY)  # A drop that did not set its own limit would wait for that.
    with ThreadPoolExecutor(1) as thread:
        dropped = thread.submit(db.partitions.drop_oldest, worker_tx, "events", DAYS)
        while not (waits and dropped.done()):
            api_tx.execute(PATIENTLY)
            began = monotonic()
            api_tx.execute(text("SELECT count(*) FROM events"))
            waits.append(monotonic() - began)
            api_tx.rollback()
        error = dropped.exception()
    assert max(waits) < WAIT_MAX
    assert error is not None
    assert is_retryable(error)
    worker_tx.rollback()
    tx.rollback()
    assert db.partitions.drop_oldest(worker_tx, "events", DAYS) == f"events_{LONG_AGO:%Y_%m}"
    worker_tx.commit()


@pytest.mark.parametrize("table", TABLES)
def test_what_is_needed_since_the_first_look_is_kept(
    environment: Mapping[str, str], tx: Connection, worker_tx: Connection, table: str
) -> None:
    for one in TABLES:
        older(tx, one, LONG_AGO)
    event_id = tx.scalar(TELL, {"at": LONG_AGO})
    tx.execute(TOLD)
    endpoint_id = made.endpoint(tx, made.api_key(tx))
    tx.commit()
    made.delivery(tx, endpoint_id, event_id)
    tx.execute(text("UPDATE webhook_deliveries SET id = uuid7(:at, id)"), {"at": LONG_AGO})
    with databases.connected(environment["DATABASE_URL"]) as watcher, ThreadPoolExecutor(1) as thread:
        dropping = thread.submit(patiently, worker_tx, table)
        databases.wait_until_blocked(watcher, dropping)
        tx.commit()
        assert dropping.result() is None
    worker_tx.rollback()
    tx.execute(text("DELETE FROM webhook_deliveries"))
    assert all(db.partitions.drop_oldest(tx, one, DAYS) for one in TABLES)
    tx.commit()


def patiently(connection: Connection, table: str) -> str | None:
    """Do what `drop_oldest` does, but wait for the lock for as long as it takes the test to let go of it."""
    connection.execute(PATIENTLY)
    name: str | None = connection.scalar(db.partitions.DROP, {"table": table, "days": DAYS})
    return name


def older(tx: Connection, table: str, *months: datetime) -> None:
    """Add months of long ago, which the first partition, of all that was there before there were any, would hold."""
    for month in months:
        assert db.partitions.add(tx, table, month)


@pytest.fixture(scope="module", autouse=True)
def narrowed(owner: Connection) -> None:
    """Let the first partitions begin with their month."""
    for table in TABLES:
        first, start, until = owner.execute(FIRST, {"table": table}).one()
        owner.execute(text(f"ALTER TABLE {table} DETACH PARTITION {first}"))
        bounds = f"FOR VALUES FROM ('{start}') TO ('{until}')"
        owner.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {first} {bounds}"))
    owner.commit()


PATIENTLY = text("SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'")
# Of the month in which the database was migrated: it may have been the one before this.
FIRST = text("""
    SELECT relname, uuid7_floor(month AT TIME ZONE 'UTC'), uuid7_floor((month + interval '1 month') AT TIME ZONE 'UTC')
      FROM pg_class JOIN pg_inherits ON inhrelid = pg_class.oid,
           LATERAL (SELECT CAST(to_date(right(relname, 7), 'YYYY_MM') AS timestamp) AS month) AS named
     WHERE inhparent = to_regclass(:table) AND pg_get_expr(relpartbound, inhrelid) LIKE '%MINVALUE%'
""")
TELL = text("""
    INSERT INTO events (id, type, occurred_at, caller, data)
    VALUES (uuid7(:at, gen_random_uuid()), 'webhook.test', :at, 'c', '{}') RETURNING id
""")
TOLD = text("UPDATE webhook_cursor SET xact_id = 9000000000")


def partitions(tx: Connection, table: str) -> list[str]:
    return list(tx.scalars(PARTITIONS, {"table": table}))


PARTITIONS = text("""
    SELECT CAST(CAST(inhrelid AS regclass) AS text) FROM pg_inherits WHERE inhparent = to_regclass(:table)
""")
