"""The courier sends what is due, records it, and neither doubles nor loses a delivery when something fails."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

import db.deliveries
import db.events
import db.keys
import db.outbox
import db.webhooks
import settings
import workers.courier
from db.engine import transaction
from db.keys import NewKey
from db.webhooks import NewEndpoint
from domain.deliveries import Delivery, DeliveryState
from domain.jobs import Queue
from domain.signatures import is_signed, new_secret
from domain.webhooks import WebhookEndpoint
from sealing import Sealer
from settings import Settings
from tests import committed
from tests.flows.receivers import Answering, Message, Receiver, Receivers, at_first, saying, wait_until, well
from workers import batches, deliveries
from workers.deliveries import Office
from workers.lanes import LANE_SLOTS, LIMITS

SECRET = new_secret(bytes(range(32)))
SETTLE_SECONDS = 60.0  # A limit, as those of `wait_until` are: it takes milliseconds.
TIMEOUT_SECONDS = 60
MANY = 3 * LANE_SLOTS
CLOSINGS = 20
SLOW_RECEIVERS = 16
# A rule of the database that a test adds stands for its absence: what leads to this state fails, then passes.
FAIL_TWICE = """
    CREATE SEQUENCE failures;
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        IF NEW.state = '{}' AND nextval('failures') <= 2 THEN RAISE EXCEPTION 'away' USING ERRCODE = '57P01'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER fail BEFORE UPDATE ON webhook_deliveries FOR EACH ROW EXECUTE FUNCTION fail()
"""
CLAIMS_FAIL_TWICE, RECORDS_FAIL_TWICE = FAIL_TWICE.format("pending"), FAIL_TWICE.format("succeeded")

NewReceiver = Callable[..., Receiver]


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    with Receivers() as receivers:
        yield receivers


@pytest.fixture
def office(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    assert url
    monkeypatch.setenv("WEBHOOK_RETRY_SECONDS", "0,0,0")
    monkeypatch.setenv("WEBHOOK_TIMEOUT_SECONDS", str(TIMEOUT_SECONDS))
    settings.settings.cache_clear()
    with contextlib.closing(Office(settings.settings())) as office:
        yield office


@pytest.fixture
def key_id(url: str) -> UUID:
    """An operator's key."""
    key = NewKey(id=uuid7(), name="test", digest=b"d", scopes=["*"])
    with transaction(url) as tx:
        db.keys.insert(tx, key)
    return key.id


@pytest.fixture
def listen(url: str, fresh: Settings, key_id: UUID, receivers: Receivers) -> NewReceiver:
    """Register a receiver that hears of all deposits."""

    def make(answer: Answering = well) -> Receiver:
        receiver = receivers.open(answer)
        endpoint = NewEndpoint(
            id=uuid7(),
            key_id=key_id,
            url=receiver.url,
            event_types=["deposit.*"],
            description=None,
            enabled=True,
            disabled_reason=None,
        )
        with transaction(url) as tx:
            db.webhooks.insert(tx, endpoint, Sealer(fresh.webhook_keys, "WEBHOOK_KEYS").seal(SECRET), 20)
        receiver.endpoint_id, receiver.secret = str(endpoint.id), SECRET
        return receiver

    return make


def happen(url: str, count: int) -> None:
    """Let deposits end, and be told of; that they are refused does not matter."""
    committed.queued(url, *(committed.deposit_of(UUID(int=0), 1) for _ in range(count)))
    batches.drain(Queue.TRANSACTIONS)
    committed.told(url)


def log_of(url: str, receiver: Receiver) -> list[Delivery]:
    wanted = db.deliveries.Filter(endpoint_id=UUID(receiver.endpoint_id))
    with transaction(url) as tx:
        return db.deliveries.page(tx, wanted, None, 1_000)


def states(url: str, receiver: Receiver) -> set[str]:
    return {one.state.value for one in log_of(url, receiver)}


def found(url: str, receiver: Receiver) -> WebhookEndpoint:
    with transaction(url) as tx:
        owned = db.webhooks.find(tx, UUID(receiver.endpoint_id))
    assert owned is not None
    return owned.endpoint


def settled(url: str, receiver: Receiver) -> bool:
    return "pending" not in states(url, receiver)


def test_what_happened_is_sent_once_signed_and_recorded(url: str, office: Office, listen: NewReceiver) -> None:
    receiver = listen()
    happen(url, 3)
    assert office.settle(SETTLE_SECONDS) == {"events": 3, "deliveries": 3}
    assert wait_until(lambda: settled(url, receiver))
    assert set(receiver.counts().values()) == {1}
    assert {(one.state, len(one.attempts), one.attempts[0].status) for one in log_of(url, receiver)} == {
        (DeliveryState.SUCCEEDED, 1, 200)
    }
    for message in receiver.messages:
        assert is_signed(SECRET, message.headers, message.body, now=time.time())


def test_settling_again_sends_nothing_more(url: str, office: Office, listen: NewReceiver) -> None:
    receiver = listen()
    happen(url, 1)
    office.settle(SETTLE_SECONDS)
    assert wait_until(lambda: settled(url, receiver))
    assert office.settle(SETTLE_SECONDS) == {"events": 0, "deliveries": 0}
    assert len(receiver.messages) == 1


def test_two_couriers_share_the_work_and_double_nothing(url: str, office: Office, listen: NewReceiver) -> None:
    receiver = listen()
    with contextlib.closing(Office(settings.settings())) as other:
        happen(url, MANY)
        office.wake()
        other.settle(SETTLE_SECONDS)
        assert wait_until(lambda: len(receiver.counts()) == MANY and settled(url, receiver))
    assert sum(receiver.counts().values()) == MANY


def test_a_receiver_has_no_more_under_way_than_its_lane_has_slots(
    url: str, office: Office, listen: NewReceiver
) -> None:
    under_way: list[int] = [0, 0]  # Now, and at most.

    async def slowly(message: Message, writer: asyncio.StreamWriter) -> None:
        under_way[0] += 1
        under_way[1] = max(under_way)
        await asyncio.sleep(0.2)
        under_way[0] -= 1
        await well(message, writer)

    receiver = listen(slowly)
    happen(url, MANY)
    office.settle(SETTLE_SECONDS)
    assert wait_until(lambda: len(receiver.counts()) == MANY)
    assert LANE_SLOTS // 2 < under_way[1] <= LANE_SLOTS


def test_a_receiver_that_never_answers_holds_up_nobody(url: str, office: Office, listen: NewReceiver) -> None:
    async def silence(*_: object) -> None:
        await asyncio.Event().wait()

    listen(silence)
    healthy = listen()
    for turn in range(1, 4):
        happen(url, LANE_SLOTS)
        office.settle(SETTLE_SECONDS)
        assert wait_until(partial(_came, healthy, turn * LANE_SLOTS), TIMEOUT_SECONDS / 4)


def test_many_receivers_that_take_their_time_leave_room_for_the_next_one(
    url: str, office: Office, listen: NewReceiver
) -> None:
    """The slow ones of this key have more to do than it has slots; whoever has nothing under way comes first."""

    async def slowly(message: Message, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        await well(message, writer)

    slow = [listen(slowly) for _ in range(SLOW_RECEIVERS)]
    happen(url, 10 * LIMITS.key // SLOW_RECEIVERS)
    office.settle(SETTLE_SECONDS)
    healthy = listen()
    happen(url, 5)
    office.wake()
    assert wait_until(lambda: _came(healthy, 5))
    assert sum(len(receiver.messages) for receiver in slow) < 5 * LIMITS.key  # Half of theirs: it came before.


def _came(receiver: Receiver, count: int) -> bool:
    return len(receiver.messages) == count


def test_every_attempt_of_the_schedule_is_made_and_kept(url: str, office: Office, listen: NewReceiver) -> None:
    async def refuse(_: Message, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops")
        await writer.drain()

    receiver = listen(refuse)
    happen(url, 1)
    office.settle(SETTLE_SECONDS)
    assert wait_until(lambda: settled(url, receiver))
    [delivery] = log_of(url, receiver)
    assert [(one.status, one.excerpt) for one in delivery.attempts] == [(500, "oops")] * 3
    assert delivery.state is DeliveryState.FAILED
    assert len({message.headers["webhook-id"] for message in receiver.messages}) == 1


def test_a_success_ends_the_time_of_failing_also_in_a_worker_that_did_not_see_it_begin(
    url: str, listen: NewReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_RETRY_SECONDS", "0,0")
    settings.settings.cache_clear()
    receiver = listen(at_first(saying("500 Oh"), saying("500 Oh"), well))
    for is_failing in (True, False):
        happen(url, 1)
        with contextlib.closing(Office(settings.settings())) as office:
            office.settle(SETTLE_SECONDS)
            assert wait_until(lambda: settled(url, receiver))
        assert (found(url, receiver).failing_since is not None) is is_failing


def test_a_receiver_that_asks_for_a_pause_is_sent_nothing_until_it_is_over_and_nobody_is_alarmed(
    url: str, office: Office, listen: NewReceiver
) -> None:
    receiver = listen(at_first(saying("429 Slow", "Retry-After: 60"), well))
    happen(url, 1)
    office.settle(SETTLE_SECONDS)
    assert wait_until(lambda: len(log_of(url, receiver)[0].attempts) == 1)
    happen(url, 1)
    office.settle(SETTLE_SECONDS)
    with transaction(url) as tx:
        assert (db.outbox.overdue(tx, 0.0), len(receiver.messages)) == ([], 1)
    for moment in ("webhook_endpoints SET paused_until = paused_until", "webhook_deliveries SET due_at = due_at"):
        committed.execute(url, f"UPDATE {moment} - interval '59 seconds'")  # A second of the pause is left.
    assert wait_until(lambda: states(url, receiver) == {"succeeded"})
    first, *others = receiver.messages
    assert min(message.at for message in others) - first.at >= 1


def test_of_a_revoked_key_nothing_more_is_sent(url: str, listen: NewReceiver, key_id: UUID) -> None:
    receiver = listen()
    happen(url, 1)
    with transaction(url) as tx:
        assert db.keys.revoke(tx, key_id)
    happen(url, 1)
    with contextlib.closing(Office(settings.settings())) as office:  # It looks by itself, too.
        office.settle(SETTLE_SECONDS)
    assert (receiver.messages, states(url, receiver) - {"canceled"}) == ([], set())


def test_what_waits_for_a_key_that_has_expired_is_canceled(url: str, listen: NewReceiver, key_id: UUID) -> None:
    receiver = listen()
    happen(url, 1)
    with transaction(url) as tx:
        db.outbox.fan_out(tx, 10)
    assert states(url, receiver) == {"pending"}
    committed.execute(url, f"UPDATE api_keys SET expires_at = now() WHERE id = '{key_id}'")  # noqa: S608 - an id of ours
    with contextlib.closing(Office(settings.settings())) as office:  # It looks by itself, too.
        office.settle(SETTLE_SECONDS)
        assert wait_until(lambda: states(url, receiver) == {"canceled"})
    assert receiver.messages == []


def test_a_secret_that_cannot_be_opened_costs_no_attempt(url: str, listen: NewReceiver) -> None:
    receiver = listen()
    happen(url, 1)
    committed.execute(url, "UPDATE webhook_secrets SET sealed = 'gone' || sealed")
    with contextlib.closing(Office(settings.settings())) as office:  # It looks by itself, too.
        assert office.settle(SETTLE_SECONDS)["deliveries"] == 1
    [delivery] = log_of(url, receiver)
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, [])


def test_closing_waits_for_what_is_under_way_and_records_it(url: str, listen: NewReceiver) -> None:
    async def slowly(message: Message, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        await well(message, writer)

    receiver = listen(slowly)
    happen(url, 5)
    with contextlib.closing(Office(settings.settings())) as office:
        office.settle(SETTLE_SECONDS)
        assert wait_until(lambda: len(receiver.messages) == 5)
    assert states(url, receiver) == {"succeeded"}


def test_closing_records_even_if_the_database_is_just_away(url: str, listen: NewReceiver) -> None:
    receiver = listen()
    committed.execute(url, RECORDS_FAIL_TWICE)
    happen(url, 1)
    with contextlib.closing(Office(settings.settings())) as office:
        office.settle(SETTLE_SECONDS)
        assert wait_until(lambda: len(receiver.messages) == 1)
    assert states(url, receiver) == {"succeeded"}


@pytest.mark.parametrize(("seconds", "seconds_max", "state"), [(0.5, 30.0, "succeeded"), (4.0, 0.1, "pending")])
def test_what_is_claimed_while_it_closes_is_sent_unless_that_takes_too_long(
    url: str, listen: NewReceiver, monkeypatch: pytest.MonkeyPatch, *, seconds: float, seconds_max: float, state: str
) -> None:
    """Claimed and not sent, it comes after its lease."""
    monkeypatch.setattr(workers.courier, "CLAIM_SECONDS_MAX", seconds_max)
    receiver = listen()
    committed.execute(url, CLAIMS_TAKE_TIME.format(seconds))
    happen(url, 1)
    office = Office(settings.settings())
    assert wait_until(lambda: committed.execute(url, HAS_BEGUN_TO_CLAIM) == [(True,)])
    office.close()
    assert (states(url, receiver), len(receiver.messages)) == ({state}, int(state == "succeeded"))


CLAIMS_TAKE_TIME = """
    CREATE SEQUENCE claims;
    CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        PERFORM nextval('claims'); PERFORM pg_sleep({}); RETURN NEW;
    END $$;
    CREATE TRIGGER take_time BEFORE UPDATE ON webhook_deliveries FOR EACH ROW
        WHEN (OLD.leased_until IS NULL AND NEW.leased_until IS NOT NULL) EXECUTE FUNCTION take_time()
"""
HAS_BEGUN_TO_CLAIM = "SELECT is_called FROM claims"


def test_closing_ends_whatever_the_courier_is_just_doing(url: str, fresh: Settings) -> None:
    assert url
    for _ in range(CLOSINGS):
        office = Office(fresh)
        office.wake()
        office.close()


def test_without_the_database_the_courier_waits_and_goes_on_when_it_is_back(
    url: str, office: Office, listen: NewReceiver
) -> None:
    receiver = listen()
    committed.execute(url, CLAIMS_FAIL_TWICE)
    happen(url, 1)
    office.settle(SETTLE_SECONDS)
    assert wait_until(lambda: states(url, receiver) == {"succeeded"})
    assert len(receiver.messages) == 1


def test_what_could_not_be_recorded_is_recorded_later_and_not_sent_again(
    url: str, office: Office, listen: NewReceiver
) -> None:
    receiver = listen()
    committed.execute(url, RECORDS_FAIL_TWICE)
    happen(url, 1)
    office.settle(SETTLE_SECONDS)
    assert wait_until(lambda: states(url, receiver) == {"succeeded"})
    assert len(receiver.messages) == 1


def test_the_task_settles_replays_and_deliveries(url: str, listen: NewReceiver) -> None:
    receiver = listen()
    happen(url, 2)
    try:
        counts = deliveries.settle()
        assert wait_until(lambda: settled(url, receiver))
    finally:
        deliveries.close_office()
        deliveries.office.cache_clear()
    assert counts == {"succeeded": 0, "rejected": 0, "events": 2, "deliveries": 2}


def test_a_message_says_what_the_feed_says(url: str, office: Office, listen: NewReceiver) -> None:
    receiver = listen()
    happen(url, 1)
    office.settle(SETTLE_SECONDS)
    assert wait_until(lambda: len(receiver.messages) == 1)
    with transaction(url) as tx:
        [event] = db.events.stretch(tx, db.events.Filter(pattern="deposit.*"), db.events.START, 10).events
    assert receiver.messages[0].body == msgspec.json.encode(event)
    assert receiver.messages[0].id == str(event.id)
