"""The feed while others write: no event is skipped, none comes twice, and the order never changes."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations, product
from random import Random
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.events
from db.events import START, Filter, NewEvent, Position, Stretch
from domain.events import EndpointTest, EventType
from domain.jobs import JobState, Kind
from tests import committed, made
from tests.databases import connected

WRITERS = 4
TURNS = 15  # Of each writer.
ALL = Filter()


@pytest.fixture(autouse=True)
def nothing_before(owner: Connection) -> None:
    committed.forget_events(owner)


@pytest.fixture
def writers(environment: Mapping[str, str]) -> Iterator[list[Connection]]:
    url = environment["DATABASE_URL"]
    with connected(url) as one, connected(url) as other, connected(url) as third:
        yield [one, other, third]


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("limit", [1, 10])
def test_events_are_read_once_each_whatever_order_their_transactions_commit_in(
    writers: list[Connection], api_tx: Connection, order: Sequence[int], limit: int
) -> None:
    for writer in writers:  # The first takes the lowest number.
        writer.execute(text("SELECT pg_current_xact_id()"))
    ids = {place: told(writers[place], 2) for place in reversed(range(3))}
    seen, after = [], START
    for place in order:
        writers[place].commit()
        found, after = read(api_tx, after, limit)
        seen += found
    committed.wait_until_told(api_tx)
    found, after = read(api_tx, after, limit)
    assert seen + found == [event_id for place in range(3) for event_id in sorted(ids[place])]
    assert read(api_tx, after, limit) == ([], after)


def test_an_event_waits_until_no_older_transaction_can_tell_one_before_it(
    writers: list[Connection], api_tx: Connection
) -> None:
    slow, quick, _ = writers
    slow.execute(text("SELECT pg_current_xact_id()"))
    later = told(quick, 1)
    quick.commit()
    assert read(api_tx) == ([], START)
    earlier = told(slow, 1)
    slow.commit()
    committed.wait_until_told(api_tx)
    assert read(api_tx)[0] == earlier + later


def test_what_was_rolled_back_is_never_told_and_holds_nothing_up(writers: list[Connection], api_tx: Connection) -> None:
    told(writers[0], 1)
    kept = told(writers[1], 1)
    writers[1].commit()
    writers[0].rollback()
    committed.wait_until_told(api_tx)
    assert read(api_tx)[0] == kept


@pytest.mark.parametrize("seed", [1, 2])
def test_a_reader_that_follows_sees_what_many_writers_tell_exactly_once(
    environment: Mapping[str, str], api_tx: Connection, seed: int
) -> None:
    written: list[UUID] = []
    with ThreadPoolExecutor(WRITERS) as pool:
        writing = [pool.submit(write, environment["DATABASE_URL"], seed * 10 + place) for place in range(WRITERS)]
        random, seen, after = Random(seed), [], START  # noqa: S311 - how much is read at a time
        while not all(one.done() for one in writing):
            found, after = read(api_tx, after, random.randint(1, 7))
            seen += found
        for one in writing:
            written += one.result()
    committed.wait_until_told(api_tx)
    rest, _ = read(api_tx, after, 7)
    assert sorted(seen + rest) == sorted(written)
    assert read(api_tx, START, 7)[0] == seen + rest


def write(url: str, seed: int) -> list[UUID]:
    """Tell some events in many transactions, short and long, some of which come to nothing; return the ids."""
    random, written = Random(seed), []  # noqa: S311 - what is written and when
    with connected(url) as connection:
        for _ in range(TURNS):
            ids = told(connection, random.randint(0, 3))
            threading.Event().wait(random.choice([0, 0.001, 0.02]))
            ids += told(connection, random.randint(0, 2))
            if random.random() < 0.2:
                connection.rollback()
                continue
            connection.commit()
            written += ids
    return written


@pytest.fixture
def shop(owner: Connection) -> list[UUID]:
    """Twelve events, of three types in turn and of two callers by halves; return their ids in order."""
    kinds = [(Kind.WALLET_OPEN, JobState.SUCCEEDED), (Kind.TRANSFER_CREATE, JobState.REJECTED)]
    kinds += [(Kind.TRANSFER_CREATE, JobState.CANCELED)]
    for place in range(12):
        kind, state = kinds[place % 3]
        made.ended(owner, kind, state, caller="a" if place < 6 else "b")
        committed.wait_until_told(owner)
    return list(owner.scalars(text("SELECT id FROM events ORDER BY xact_id, id")))


FILTERS: list[tuple[Filter, Callable[[int], bool]]] = [
    (Filter(), lambda _: True),
    (Filter(pattern="*"), lambda _: True),
    (Filter(subject="a"), lambda place: place < 6),
    (Filter(subject="b"), lambda place: place >= 6),
    (Filter(subject="nobody"), lambda _: False),
    (Filter(subject="nobody", all_jobs=True), lambda _: True),
    (Filter(subject="b", all_jobs=True, pattern="wallet.*"), lambda place: place % 3 == 0),
    (Filter(pattern="transfer.*"), lambda place: place % 3 > 0),
    (Filter(pattern="transfer.rejected"), lambda place: place % 3 == 1),
    (Filter(pattern="wallet.*"), lambda place: place % 3 == 0),
    (Filter(pattern="wallet.opened", subject="b"), lambda place: place in {6, 9}),
    (Filter(pattern="deposit.*"), lambda _: False),
    (Filter(pattern="transfer"), lambda _: False),
    (Filter(pattern="%"), lambda _: False),
]


@pytest.mark.parametrize("scan", [1, 4, 12, 5_000])
def test_a_narrowed_feed_has_what_matches_in_order_however_little_is_looked_at(
    shop: list[UUID], api_tx: Connection, monkeypatch: pytest.MonkeyPatch, scan: int
) -> None:
    monkeypatch.setattr(db.events, "SCAN_MAX", scan)
    for (wanted, matches), limit in product(FILTERS, [1, 2, 12, 13]):
        seen, after = read(api_tx, START, limit, wanted)
        assert seen == [event_id for place, event_id in enumerate(shop) if matches(place)], wanted
        assert after.event_id == shop[-1]


def test_a_reader_of_all_jobs_reads_of_no_endpoint_but_its_own(owner: Connection, api_tx: Connection) -> None:
    events = [
        NewEvent(
            id=uuid7(),
            type=EventType.WEBHOOK_TEST,
            occurred_at=made.POSTED_AT,
            caller=caller,
            data=EndpointTest(endpoint_id=UUID(int=1)),
        )
        for caller in ("key:a", "key:b")
    ]
    db.events.record(owner, *events)
    committed.wait_until_told(owner)
    readers = [Filter(), Filter(subject="key:a", all_jobs=True), Filter(subject="key:a"), Filter(subject="key:c")]
    seen = [set(read(api_tx, START, 1, reader)[0]) for reader in readers]
    own = {events[0].id}
    assert seen == [own | {events[1].id}, own, own, set()]


def test_a_stretch_without_a_match_says_where_to_go_on_and_that_there_is_more(
    shop: list[UUID], api_tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.events, "SCAN_MAX", 4)
    stretches = list(following(api_tx, Filter(subject="b"), limit=3))
    assert [[event.id for event in one.events] for one in stretches] == [[], shop[6:8], shop[8:11], shop[11:]]
    assert [one.end.event_id for one in stretches] == [shop[3], shop[7], shop[10], shop[11]]
    assert [one.has_more for one in stretches] == [True, True, True, False]


def test_a_stretch_with_one_match_too_many_ends_at_the_last_that_it_shows(shop: list[UUID], api_tx: Connection) -> None:
    stretches = list(following(api_tx, ALL, limit=5))
    assert [len(one.events) for one in stretches] == [5, 5, 2]
    assert [one.end.event_id for one in stretches] == [shop[4], shop[9], shop[11]]
    assert [one.has_more for one in stretches] == [True, True, False]


@pytest.mark.parametrize("wanted", [ALL, Filter(subject="b")])
def test_whoever_asks_again_from_the_end_hears_only_what_is_new(
    shop: list[UUID], owner: Connection, api_tx: Connection, wanted: Filter
) -> None:
    end = Position(xact_id=2**62, event_id=UUID(int=0))
    assert db.events.stretch(api_tx, wanted, end, 5) == Stretch(events=[], end=end, has_more=False)
    _, after = read(api_tx, START, 5, wanted)
    assert read(api_tx, after, 5, wanted) == ([], after)
    made.ended(owner, caller="b")
    committed.wait_until_told(owner)
    [new], after = read(api_tx, after, 5, wanted)
    assert new not in shop
    assert after.event_id == new


def test_an_events_id_is_a_place_in_the_feed(shop: list[UUID], api_tx: Connection) -> None:
    for place, event_id in enumerate(shop):
        after = db.events.position(api_tx, event_id)
        assert after is not None
        assert read(api_tx, after, 5)[0] == shop[place + 1 :]
    assert db.events.position(api_tx, uuid7()) is None


def told(writer: Connection, count: int) -> list[UUID]:
    """End as many jobs in one statement each; return the ids of their events."""
    jobs = [made.ended(writer) for _ in range(count)]
    ids = writer.scalars(text("SELECT id FROM events WHERE job_id = ANY(CAST(:jobs AS uuid[]))"), {"jobs": jobs})
    return list(ids)


def read(
    reader: Connection, after: Position = START, limit: int = 10, wanted: Filter = ALL
) -> tuple[list[UUID], Position]:
    """Read on until there is no more; return the events' ids and where that ended."""
    seen = []
    for stretch in following(reader, wanted, after, limit=limit):
        assert len(stretch.events) <= limit
        seen += [event.id for event in stretch.events]
        after = stretch.end
    return seen, after


def following(reader: Connection, wanted: Filter, after: Position = START, *, limit: int) -> Iterator[Stretch]:
    has_more = True
    while has_more:
        stretch = db.events.stretch(reader, wanted, after, limit)
        reader.rollback()
        assert (stretch.end.xact_id, stretch.end.event_id) >= (after.xact_id, after.event_id)
        after, has_more = stretch.end, stretch.has_more
        yield stretch
