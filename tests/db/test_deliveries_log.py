"""The log of deliveries: listed newest first, and forgotten after its time."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

import db.deliveries
from db.deliveries import Filter
from domain.deliveries import DeliveryState
from domain.jobs import JobState, Kind
from tests import made


@pytest.fixture
def keys(tx: Connection) -> list[UUID]:
    return [made.api_key(tx), made.api_key(tx)]


@pytest.fixture
def endpoints(tx: Connection, keys: list[UUID]) -> list[UUID]:
    """Two endpoints of the first key, one of the other."""
    return [made.endpoint(tx, keys[0]), made.endpoint(tx, keys[0]), made.endpoint(tx, keys[1])]


@pytest.fixture
def log(tx: Connection, endpoints: list[UUID]) -> list[UUID]:
    """Six deliveries: each endpoint hears of an opened wallet, which fails, and of a rejected transfer, which waits."""
    opened = made.event(tx)
    made.ended(tx, Kind.TRANSFER_CREATE, JobState.REJECTED)
    transferred = tx.execute(text("SELECT id FROM events WHERE type = 'transfer.rejected'")).scalar_one()
    ids = [made.delivery(tx, endpoint, event) for event in (opened, transferred) for endpoint in endpoints]
    finish(tx, ids[:3])
    return ids


@pytest.mark.parametrize(
    ("key", "endpoint", "state", "event_type", "expected"),
    [
        (None, None, None, None, [5, 4, 3, 2, 1, 0]),
        (0, None, None, None, [4, 3, 1, 0]),
        (1, None, None, None, [5, 2]),
        (None, 1, None, None, [4, 1]),
        (0, 0, None, None, [3, 0]),
        (1, 0, None, None, []),
        (None, None, "failed", None, [2, 1, 0]),
        (None, None, "pending", None, [5, 4, 3]),
        (None, None, "canceled", None, []),
        (None, None, None, "transfer.rejected", [5, 4, 3]),
        (None, None, None, "transfer.*", []),
        (0, 1, "pending", "transfer.rejected", [4]),
        (0, 1, "pending", "wallet.opened", []),
    ],
)
def test_a_page_is_narrowed_by_key_endpoint_state_and_type(
    tx: Connection,
    keys: list[UUID],
    endpoints: list[UUID],
    log: list[UUID],
    *,
    key: int | None,
    endpoint: int | None,
    state: str | None,
    event_type: str | None,
    expected: Sequence[int],
) -> None:
    wanted = Filter(
        key_id=None if key is None else keys[key],
        endpoint_id=None if endpoint is None else endpoints[endpoint],
        state=None if state is None else DeliveryState(state),
        event_type=event_type,
    )
    assert page(tx, wanted) == [log[place] for place in expected]


@pytest.mark.parametrize("limit", [1, 2, 4, 6, 7])
def test_a_page_goes_on_where_the_last_one_ended(
    tx: Connection, endpoints: list[UUID], log: list[UUID], limit: int
) -> None:
    seen: list[UUID] = []
    while found := page(tx, Filter(), seen[-1] if seen else None, limit):
        assert len(found) <= limit
        made.delivery(tx, endpoints[0])  # What comes meanwhile is newer.
        seen += found
    assert seen == log[::-1]


def test_what_waits_says_when_it_comes_and_what_has_ended_does_not(tx: Connection, log: list[UUID]) -> None:
    shown = {one.id: one for one in db.deliveries.page(tx, Filter(), None, 10)}
    assert [shown[one].next_attempt_at is None for one in log] == [True] * 3 + [False] * 3
    assert [shown[one].finished_at is None for one in log] == [False] * 3 + [True] * 3


def page(tx: Connection, wanted: Filter, before: UUID | None = None, limit: int = 10) -> list[UUID]:
    return [one.id for one in db.deliveries.page(tx, wanted, before, limit)]


def finish(tx: Connection, ids: Sequence[UUID], *, days_ago: int = 0) -> None:
    statement = text("""
        UPDATE webhook_deliveries SET state = 'failed', finished_at = now() - make_interval(days => :days)
         WHERE id = ANY(CAST(:ids AS uuid[]))
    """)
    tx.execute(statement, {"ids": list(ids), "days": days_ago})
