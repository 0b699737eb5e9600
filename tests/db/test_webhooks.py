"""Endpoints and their secrets: added up to a bound, changed, rotated, switched off by their owner or by failing."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.deliveries
import db.events
import db.keys
import db.secrets
import db.webhooks
from db.webhooks import Health, NewEndpoint, Owned
from domain.deliveries import DeliveryState
from domain.events import DisabledEndpoint, EventType
from domain.webhooks import OVERLAP_HOURS, UpdateWebhookEndpoint, WebhookEndpoint
from tests import made

AFTER_SECONDS = 432_000
OTHER_URL = "https://other.example.rw/in"


@pytest.fixture
def key(tx: Connection) -> UUID:
    return made.api_key(tx)


@pytest.fixture
def endpoint(tx: Connection, key: UUID) -> UUID:
    return made.endpoint(tx, key, "transfer.*", "deposit.*")


def new(key_id: UUID, **changes: Any) -> NewEndpoint:
    plain = NewEndpoint(
        id=uuid7(),
        key_id=key_id,
        url=made.ENDPOINT_URL,
        event_types=["*"],
        description=None,
        enabled=True,
        disabled_reason=None,
    )
    return replace(plain, **changes)


def test_a_new_endpoint_is_found_as_it_was_added(tx: Connection, key: UUID) -> None:
    added = new(key, event_types=["transfer.*", "job.failed"], description="mine")
    owned = db.webhooks.insert(tx, added, "sealed", 20)
    assert owned == db.webhooks.find(tx, added.id)
    assert owned == Owned(
        endpoint=WebhookEndpoint(
            id=added.id,
            url=added.url,
            event_types=["transfer.*", "job.failed"],
            description="mine",
            enabled=True,
            disabled_reason=None,
            failing_since=None,
            created_at=tx.execute(text("SELECT now()")).scalar_one(),
        ),
        key_id=key,
    )
    assert secrets(tx, added.id) == ("sealed", None)


def test_a_key_has_so_many_endpoints_and_no_more(tx: Connection, key: UUID) -> None:
    added = [db.webhooks.insert(tx, new(key), "s", 3) is not None for _ in range(4)]
    assert added == [True, True, True, False]
    assert db.webhooks.insert(tx, new(made.api_key(tx)), "s", 3) is not None
    assert tx.scalar(text("SELECT count(*) FROM webhook_secrets")) == 4


def test_endpoints_that_are_off_count_and_deleted_ones_do_not(tx: Connection, key: UUID) -> None:
    first = new(key, enabled=False, disabled_reason="r")
    assert db.webhooks.insert(tx, first, "s", 1) is not None
    assert db.webhooks.insert(tx, new(key), "s", 1) is None
    db.webhooks.delete(tx, first.id)
    assert db.webhooks.insert(tx, new(key), "s", 1) is not None


def test_a_page_is_newest_first_of_one_key_or_of_all(tx: Connection, key: UUID) -> None:
    ids = [made.endpoint(tx, key) for _ in range(3)]
    others = made.endpoint(tx, made.api_key(tx))
    db.webhooks.delete(tx, ids[1])
    assert page(tx, key, None) == [ids[2], ids[0]]
    assert page(tx, None, None) == [others, ids[2], ids[0]]
    assert page(tx, key, ids[2]) == [ids[0]]


CHANGES: list[tuple[UpdateWebhookEndpoint, dict[str, object]]] = [
    (UpdateWebhookEndpoint(), {}),
    (UpdateWebhookEndpoint(url=OTHER_URL), {"url": OTHER_URL}),
    (UpdateWebhookEndpoint(event_types=["*"]), {"event_types": ["*"]}),
    (UpdateWebhookEndpoint(description="new"), {"description": "new"}),
    (UpdateWebhookEndpoint(description=None), {"description": None}),
    (UpdateWebhookEndpoint(enabled=False), {"enabled": False, "disabled_reason": "disabled_by_owner"}),
    (UpdateWebhookEndpoint(enabled=True), {"failing_since": None}),
    (
        UpdateWebhookEndpoint(url=OTHER_URL, enabled=False),
        {"url": OTHER_URL, "enabled": False, "disabled_reason": "disabled_by_owner"},
    ),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_a_change_changes_what_it_names(
    tx: Connection, endpoint: UUID, change: UpdateWebhookEndpoint, expected: dict[str, object]
) -> None:
    tx.execute(text("UPDATE webhook_endpoints SET description = 'old', failing_since = now()"))
    [other] = page(tx, made.api_key(tx), None) or [made.endpoint(tx, made.api_key(tx))]
    before, beside = found(tx, endpoint), found(tx, other)
    owned = db.webhooks.update(tx, endpoint, change)
    assert owned is not None
    assert owned.endpoint == replace(before, **expected)
    assert found(tx, other) == beside


def test_an_endpoint_that_is_switched_off_sends_nothing_more(tx: Connection, key: UUID, endpoint: UUID) -> None:
    waits, others = made.delivery(tx, endpoint), made.delivery(tx, made.endpoint(tx, key))
    db.webhooks.update(tx, endpoint, UpdateWebhookEndpoint(url=OTHER_URL, enabled=True))
    assert states(tx, waits, others) == ["pending", "pending"]
    db.webhooks.update(tx, endpoint, UpdateWebhookEndpoint(enabled=False))
    assert states(tx, waits, others) == ["canceled", "pending"]


@pytest.mark.parametrize("enabled", [True, False])
def test_an_endpoint_hears_from_the_moment_it_is_switched_on(tx: Connection, key: UUID, *, enabled: bool) -> None:
    endpoint = made.endpoint(tx, key, enabled=enabled)
    tx.execute(text("UPDATE webhook_endpoints SET since_xact_id = 7"))
    before = oldest_xact(tx)
    db.webhooks.update(tx, endpoint, UpdateWebhookEndpoint(enabled=True))
    since: int = tx.execute(text("SELECT since_xact_id FROM webhook_endpoints")).scalar_one()
    assert since == 7 if enabled else before <= since <= oldest_xact(tx)


def oldest_xact(tx: Connection) -> int:
    """Return the oldest transaction that still runs; it grows while others end."""
    found: int = tx.execute(text(f"SELECT {db.events.HORIZON}")).scalar_one()
    return found


def test_switched_on_it_has_no_reason_and_no_failure_behind_it(tx: Connection, endpoint: UUID) -> None:
    note(tx, endpoint, is_gone=True)
    owned = db.webhooks.update(tx, endpoint, UpdateWebhookEndpoint(enabled=True))
    assert owned is not None
    assert (owned.endpoint.enabled, owned.endpoint.disabled_reason, owned.endpoint.failing_since) == (True, None, None)


def test_a_deleted_endpoint_is_gone_and_its_log_stays(tx: Connection, key: UUID, endpoint: UUID) -> None:
    waits, others = made.delivery(tx, endpoint), made.delivery(tx, made.endpoint(tx, key))
    assert [db.webhooks.delete(tx, endpoint) for _ in range(2)] == [True, False]
    assert states(tx, waits, others) == ["canceled", "pending"]
    assert secrets(tx, endpoint) is None
    assert endpoint not in page(tx, None, None)


@pytest.mark.parametrize("change", [UpdateWebhookEndpoint(), UpdateWebhookEndpoint(url=OTHER_URL, enabled=True)])
def test_a_deleted_endpoint_cannot_be_changed(tx: Connection, endpoint: UUID, change: UpdateWebhookEndpoint) -> None:
    db.webhooks.delete(tx, endpoint)
    before = row(tx, endpoint)
    assert db.webhooks.update(tx, endpoint, change) is None
    assert db.webhooks.find(tx, endpoint) is None
    assert row(tx, endpoint) == before


def test_one_that_does_not_exist_is_neither_found_nor_changed_nor_deleted(tx: Connection) -> None:
    assert db.webhooks.find(tx, uuid7()) is None
    assert db.webhooks.update(tx, uuid7(), UpdateWebhookEndpoint(enabled=True)) is None
    assert db.webhooks.delete(tx, uuid7()) is False


def test_a_rotated_secret_leaves_the_one_before_for_a_day(tx: Connection, endpoint: UUID) -> None:
    until = db.secrets.rotate(tx, endpoint, "second")
    assert until - tx.execute(text("SELECT now()")).scalar_one() == timedelta(hours=OVERLAP_HOURS)
    assert secrets(tx, endpoint) == ("second", f"sealed {endpoint}")
    db.secrets.rotate(tx, endpoint, "third")
    assert secrets(tx, endpoint) == ("third", "second")


def test_a_first_secret_has_none_before_it(tx: Connection, key: UUID) -> None:
    assert not db.secrets.has_secret(tx, key)
    assert db.secrets.rotate(tx, key, "first") is None
    assert db.secrets.has_secret(tx, key)
    assert secrets(tx, key) == ("first", None)


@pytest.mark.parametrize(
    ("before", "asked", "after"),
    [(None, 0, None), (None, 60, 60), (30, 60, 60), (60, 30, 60), (60, 0, 60), (-60, 0, -60)],
)
@pytest.mark.parametrize("succeeded", [True, False])
def test_an_endpoint_is_left_alone_for_as_long_as_it_asked_last(
    tx: Connection, endpoint: UUID, *, before: int | None, asked: int, after: int | None, succeeded: bool
) -> None:
    other = made.endpoint(tx, made.api_key(tx))
    pause = text("UPDATE webhook_endpoints SET paused_until = now() + make_interval(secs => :before) WHERE id = :id")
    tx.execute(pause, {"before": before, "id": endpoint})
    seen = Health(endpoint_id=endpoint, succeeded=succeeded, is_gone=False, pause_seconds=asked)
    for _ in range(2):
        assert db.webhooks.note_health(tx, [seen], AFTER_SECONDS) == []
    left = text("SELECT extract(epoch FROM paused_until - now()) FROM webhook_endpoints WHERE id = :id")
    assert [tx.scalar(left, {"id": one}) for one in (endpoint, other)] == [after, None]
    assert (found(tx, endpoint).failing_since is None) is succeeded


def test_switched_on_again_an_endpoint_has_no_pause_behind_it(tx: Connection, endpoint: UUID) -> None:
    db.webhooks.update(tx, endpoint, UpdateWebhookEndpoint(enabled=False))
    tx.execute(text("UPDATE webhook_endpoints SET paused_until = now() + interval '1 hour'"))
    db.webhooks.update(tx, endpoint, UpdateWebhookEndpoint(enabled=True))
    assert row(tx, endpoint).paused_until is None


HEALTH: list[tuple[bool, bool, float | None, float | None, bool]] = [
    # Succeeded and gone; since when it failed before and after, in seconds; whether it stays on.
    (True, False, None, None, True),
    (True, False, 60, None, True),
    (True, False, AFTER_SECONDS + 1, None, True),
    (False, False, None, 0, True),
    (False, False, 60, 60, True),
    (False, False, AFTER_SECONDS - 1, AFTER_SECONDS - 1, True),
    (False, False, AFTER_SECONDS, AFTER_SECONDS, False),
    (False, False, AFTER_SECONDS + 1, AFTER_SECONDS + 1, False),
    (False, True, None, 0, False),
    (False, True, 60, 60, False),
]


@pytest.mark.parametrize(("succeeded", "is_gone", "before", "after", "stays"), HEALTH)
def test_an_endpoint_is_switched_off_when_it_is_gone_or_fails_for_too_long(
    tx: Connection,
    endpoint: UUID,
    *,
    succeeded: bool,
    is_gone: bool,
    before: float | None,
    after: float | None,
    stays: bool,
) -> None:
    tx.execute(
        text("UPDATE webhook_endpoints SET failing_since = now() - make_interval(secs => :before)"), {"before": before}
    )
    disabled = note(tx, endpoint, succeeded=succeeded, is_gone=is_gone)
    since = tx.scalar(text("SELECT extract(epoch FROM now() - failing_since) FROM webhook_endpoints"))
    assert (since, found(tx, endpoint).enabled, disabled == []) == (after, stays, stays)


@pytest.mark.parametrize(("is_gone", "reason"), [(True, "answered_410"), (False, "no_success_for_too_long")])
def test_whoever_is_switched_off_is_told_of_with_its_reason_once(
    tx: Connection, key: UUID, endpoint: UUID, *, is_gone: bool, reason: str
) -> None:
    waits = made.delivery(tx, endpoint)
    tx.execute(text("UPDATE webhook_endpoints SET failing_since = now() - interval '1 year'"))
    said = DisabledEndpoint(endpoint_id=endpoint, url=made.ENDPOINT_URL, disabled_reason=reason)
    assert [note(tx, endpoint, is_gone=is_gone) for _ in range(2)] == [[said], []]
    [event] = told(tx)
    assert (event.type, event.caller, event.job_id) == (EventType.ENDPOINT_DISABLED, f"key:{key}", None)
    assert event.data == {"endpoint_id": str(endpoint), "url": made.ENDPOINT_URL, "disabled_reason": reason}
    assert states(tx, waits) == ["canceled"]


def test_each_endpoint_is_judged_by_what_was_seen_of_it(tx: Connection, key: UUID) -> None:
    gone, failing, well = (made.endpoint(tx, key) for _ in range(3))
    seen = [
        Health(endpoint_id=gone, succeeded=False, is_gone=True),
        Health(endpoint_id=failing, succeeded=False, is_gone=False),
        Health(endpoint_id=well, succeeded=True, is_gone=False),
        Health(endpoint_id=uuid7(), succeeded=False, is_gone=True),
    ]
    assert [one.endpoint_id for one in db.webhooks.note_health(tx, seen, AFTER_SECONDS)] == [gone]
    assert [found(tx, one).failing_since is None for one in (gone, failing, well)] == [False, False, True]
    assert len(told(tx)) == 1


def test_what_is_off_already_is_not_switched_off_again(tx: Connection, endpoint: UUID) -> None:
    db.webhooks.update(tx, endpoint, UpdateWebhookEndpoint(enabled=False))
    assert note(tx, endpoint, is_gone=True) == []
    assert found(tx, endpoint).disabled_reason == "disabled_by_owner"
    assert told(tx) == []


END: list[Callable[[Connection, UUID], object]] = [db.webhooks.disable_of, db.keys.revoke]


@pytest.mark.parametrize("end", END)
def test_with_its_key_an_endpoint_and_what_waits_for_it_ends(
    tx: Connection, key: UUID, endpoint: UUID, end: Callable[[Connection, UUID], object]
) -> None:
    other = made.endpoint(tx, made.api_key(tx))
    off = made.endpoint(tx, key, enabled=False)
    waits, called_back, others = made.delivery(tx, endpoint), made.called_back(tx, key), made.delivery(tx, other)
    end(tx, key)
    assert states(tx, waits, called_back, others) == ["canceled", "canceled", "pending"]
    reasons = [found(tx, one).disabled_reason for one in (endpoint, off, other)]
    assert reasons == ["key_revoked", "disabled_by_owner", None]


def test_a_key_that_is_revoked_already_ends_nothing(tx: Connection, key: UUID) -> None:
    db.keys.revoke(tx, key)
    endpoint = made.endpoint(tx, key)
    assert db.keys.revoke(tx, key) is False
    assert found(tx, endpoint).enabled


def note(tx: Connection, endpoint: UUID, *, succeeded: bool = False, is_gone: bool = False) -> list[DisabledEndpoint]:
    seen = [Health(endpoint_id=endpoint, succeeded=succeeded, is_gone=is_gone)]
    return db.webhooks.note_health(tx, seen, AFTER_SECONDS)


def found(tx: Connection, endpoint: UUID) -> WebhookEndpoint:
    owned = db.webhooks.find(tx, endpoint)
    assert owned is not None
    return owned.endpoint


def row(tx: Connection, endpoint: UUID) -> Any:
    return tx.execute(text("SELECT * FROM webhook_endpoints WHERE id = :id"), {"id": endpoint}).one()


def page(tx: Connection, key_id: UUID | None, before: UUID | None) -> list[UUID]:
    return [one.id for one in db.webhooks.page(tx, key_id, before, 10)]


def secrets(tx: Connection, owner_id: UUID) -> tuple[str, str | None] | None:
    statement = text("SELECT sealed, previous_sealed FROM webhook_secrets WHERE owner_id = :id")
    kept = tx.execute(statement, {"id": owner_id}).first()
    return None if kept is None else (kept.sealed, kept.previous_sealed)


def told(tx: Connection) -> Sequence[Any]:
    """Return the events that no job told."""
    return tx.execute(text("SELECT * FROM events WHERE job_id IS NULL")).all()


def states(tx: Connection, *deliveries: UUID) -> list[DeliveryState]:
    kept = [db.deliveries.find(tx, one, None) for one in deliveries]
    return [one.state for one in kept if one is not None]
