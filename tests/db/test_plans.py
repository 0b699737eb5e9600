"""How PostgreSQL reaches what webhooks and scrapers ask for: by an index, however much there is.

Whoever asks the same all day has its statements prepared, and planned for whatever values may come: both plans count.
"""

from collections.abc import Mapping
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.chain
import db.deliveries
import db.events
import db.jobs
import db.metrics
import db.outbox
import db.replays
import db.turns
from db.events import Position
from domain.jobs import Queue
from tests.databases import connected
from tests.plans import PLANS, Ask, explained, fill, planned_for_any, planned_for_values, rows_read, uuid_of

EVENTS = 10_000
SCAN = 500  # Of the feed: 5,000 would be half of the table, which is no case for an index.
BIG = {"events", "webhook_deliveries", "jobs", "transactions", "entries"}
TIMES = 100
KEY, ENDPOINT, EVENT = (UUID(int=number) for number in range(2, 5))
PLACE = Position(xact_id=100, event_id=UUID(int=0))
SPAN = (UUID(int=1_000), UUID(int=1_200))
JOB_INDEXES = {"jobs_pkey", "transactions_pkey", "entries_once_per_transaction"}

ASKED: dict[str, tuple[Ask, set[str]]] = {
    "waiting": (lambda tx: db.deliveries.waiting(tx, UUID(int=0), 1_000, 32), {"webhook_deliveries_pending"}),
    "claim": (
        lambda tx: db.deliveries.claim(tx, {ENDPOINT: 32}, 25),
        {"webhook_deliveries_pending", "webhook_deliveries_pkey", "events_pkey"} | JOB_INDEXES,
    ),
    "feed": (lambda tx: db.events.stretch(tx, db.events.Filter(), PLACE, 100), {"events_in_order"} | JOB_INDEXES),
    "narrow feed": (
        lambda tx: db.events.stretch(tx, db.events.Filter(subject="c", pattern="transfer.*"), PLACE, 100),
        {"events_in_order"} | JOB_INDEXES,
    ),
    "event": (lambda tx: db.events.find(tx, EVENT, db.events.Filter()), {"events_pkey"} | JOB_INDEXES),
    "position": (lambda tx: db.events.position(tx, EVENT), {"events_pkey"}),
    "fan-out": (lambda tx: db.outbox.fan_out(tx, 100), {"events_in_order"}),
    "skip": (db.outbox.skip_unwanted, {"events_with_callback"}),
    "overdue": (lambda tx: db.outbox.overdue(tx, 1), {"webhook_deliveries_pending", "events_in_order"}),
    "totals": (db.outbox.totals, {"webhook_deliveries_pending", "events_in_order"}),
    "metrics": (
        db.metrics.snapshot,
        {"jobs_queued", "jobs_ended_badly", "webhook_deliveries_pending", "events_in_order"},
    ),
    "books": (db.metrics.books, {"entries_to_fold"}),
    "size": (lambda tx: db.replays.size(tx, uuid7(), SPAN, 100), {"events_pkey"}),
    "replay": (
        lambda tx: db.replays.replay(tx, ENDPOINT, SPAN, only_failed=True, events_max=100),
        {"events_pkey", "webhook_deliveries_by_event"},
    ),
    "cancel": (lambda tx: db.deliveries.cancel(tx, [ENDPOINT]), {"webhook_deliveries_pending"}),
    "cancel of a key": (lambda tx: db.deliveries.cancel_of(tx, KEY), set()),
}


@pytest.fixture(scope="module")
def filled(environment: Mapping[str, str]) -> str:
    """Ten thousand movements, their events and deliveries, of which a few wait; return the database's address."""
    url = environment["DATABASE_URL"]
    fill(url, FILL, BIG, TIMES, events=EVENTS)
    return url


FILL = f"""
    INSERT INTO api_keys (id, name, digest, scopes)
    SELECT {uuid_of("n")}, 'k', uuid_send({uuid_of("n")}), '{{*}}' FROM generate_series(1, 20) AS n;
    INSERT INTO webhook_endpoints (id, key_id, url, event_types)
    SELECT {uuid_of("n")}, {uuid_of("n")}, 'https://example.rw/', '{{*}}' FROM generate_series(1, 20) AS n;
    INSERT INTO jobs (id, kind, queue, state, caller, idempotency_key, fingerprint, payload, result, finished_at)
    SELECT {uuid_of("n")}, 'deposit.create', 'transactions', 'succeeded', 'c' || n % 50, n, '', '{{}}', '{{}}', now()
      FROM generate_series(1, :events) AS n;
    INSERT INTO transactions (id, kind, amount, currency, destination_wallet_id, posted_at, seal, xact_id)
    SELECT {uuid_of("n")}, 'deposit', 1, 'RWF', {uuid_of("n % 200")}, now(), '', n / 20 + 1
      FROM generate_series(1, :events) AS n;
    INSERT INTO entries (wallet_id, sequence, transaction_id, amount, balance_after, seal)
    SELECT {uuid_of("n % 200")}, n, {uuid_of("n")}, 1, 1, '' FROM generate_series(1, :events) AS n;
    INSERT INTO events (id, type, occurred_at, job_id, caller, xact_id)
    SELECT {uuid_of("n")}, 'deposit.succeeded', now(), {uuid_of("n")}, 'c' || n % 50, n / 20
      FROM generate_series(1, :events) AS n;
    INSERT INTO webhook_deliveries (id, event_id, event_type, key_id, endpoint_id, state, finished_at)
    SELECT {uuid_of("n")}, {uuid_of("n")}, 'deposit.succeeded', {uuid_of("n % 20 + 1")}, {uuid_of("n % 20 + 1")},
           CASE WHEN n % 49 = 0 THEN 'pending' WHEN n % 49 = 1 THEN 'failed' ELSE 'succeeded' END,
           CASE WHEN n % 49 > 0 THEN now() END
      FROM generate_series(1, :events) AS n
"""  # noqa: S608 - constants


@pytest.mark.parametrize("name", list(ASKED))
def test_what_is_asked_is_found_by_its_index_and_no_big_table_is_read_through(
    filled: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(db.events, "SCAN_MAX", SCAN)
    ask, indexes = ASKED[name]
    with connected(filled) as connection:
        for plans in (planned_for_values(connection, ask), planned_for_any(connection, ask)):
            nodes = [node for plan in plans for node in plan.walk()]
            assert {node.table for node in nodes if node.kind == "Seq Scan"} & BIG == set()
            assert not nodes or indexes <= {node.index for node in nodes}


@pytest.mark.parametrize("plans", PLANS)
def test_sealing_reads_what_was_posted_since_the_last_block_and_nothing_before(filled: str, plans: str) -> None:
    def seal(connection: Connection) -> None:
        connection.execute(SEALED_BEFORE, {"before": EVENTS // 20 - 1})
        assert db.chain.extend(connection) == UNSEALED

    with connected(filled) as connection:
        assert rows_read(connection, seal, plans) <= 3 * UNSEALED  # To find the end, to count, and a few blocks.


UNSEALED = 41  # In the last three places.
SEALED_BEFORE = text("""
    INSERT INTO blocks (number, before_xact_id, transactions, digest, head)
    SELECT max(number) + 1, :before, 0, sha256(''), sha256('') FROM blocks
""")


def test_a_turn_goes_from_caller_to_caller_also_by_a_plan_of_when_nothing_was_queued(filled: str) -> None:
    values = db.jobs.claimable(Queue.TRANSACTIONS, 100) | {"after": "", "callers_max": 100}
    with connected(filled) as connection:
        connection.execute(db.jobs.NEVER_SORT)
        plan = explained(connection, "COSTS", db.turns.CLAIM.text, values)
    used = [node.index for node in plan.walk() if node.table == "jobs"]
    assert used.count("jobs_in_turn") == 4  # The first caller, the ones after, and the jobs of each, counted before.
    assert set(used) == {"jobs_in_turn", "jobs_queued"}
