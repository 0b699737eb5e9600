"""A real streaming replica: how far it has come, and that nobody who follows events there skips one."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine, text

import db.events
import db.replica
from db.engine import DatabaseError
from db.events import START, Filter
from local.stack import Stack
from tests import made
from tests.conftest import migrated
from tests.standbys import Standby, streaming

WRITERS = 6
EVENTS_EACH = 40
READ_SECONDS_MAX = 30.0


@pytest.fixture(scope="module")
def primary(module_data_dir: Path) -> Iterator[Stack]:
    """A server of this module's own: what it promotes and holds back must not be another test's."""
    with migrated(module_data_dir) as stack:
        yield stack


@pytest.fixture(scope="module")
def standby(primary: Stack, module_data_dir: Path) -> Iterator[Standby]:
    with streaming(primary, module_data_dir) as standby:
        yield standby


@pytest.fixture(scope="module")
def writing(primary: Stack) -> Iterator[Engine]:
    """The primary as the schema's owner."""
    engine = create_engine(primary.database_url, pool_size=WRITERS)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def reading(standby: Standby) -> Iterator[Engine]:
    """The replica as the API's role."""
    engine = create_engine(standby.url("DATABASE_API_URL"))
    yield engine
    engine.dispose()


def feed(reading: Engine) -> list[UUID]:
    with reading.begin() as connection:
        return [event.id for event in db.events.stretch(connection, Filter(), START, 10_000).events]


def test_what_is_committed_lies_before_the_place_that_the_primary_names_afterwards(
    writing: Engine, reading: Engine, standby: Standby
) -> None:
    standby.catch_up()
    standby.pause()
    with writing.begin() as tx:
        made.ended(tx)
    with writing.begin() as tx:
        written = db.replica.written(tx)
    with reading.begin() as connection:
        behind = db.replica.replayed(connection)
    standby.resume()
    standby.catch_up()
    with reading.begin() as connection:
        there = db.replica.replayed(connection)
    assert behind is not None
    assert there is not None
    assert behind.position < written.position <= there.position
    assert behind.is_of_the_same_history(written)


def test_a_primary_is_no_replica_and_a_replica_no_primary(writing: Engine, reading: Engine) -> None:
    with writing.begin() as tx:
        assert db.replica.replayed(tx) is None
    with reading.connect() as connection, pytest.raises(DatabaseError):
        db.replica.written(connection)


def test_a_replica_shows_no_event_before_one_whose_transaction_began_earlier(
    writing: Engine, reading: Engine, standby: Standby
) -> None:
    """The earlier one has written nothing yet: the replica knows of it from the numbers of the others alone."""
    before = feed(reading)
    with writing.connect() as earlier:
        earlier.execute(text("SELECT pg_current_xact_id()"))
        with writing.begin() as later:
            made.ended(later)
        standby.catch_up()
        assert feed(reading) == before
        made.ended(earlier)
        earlier.commit()
    standby.catch_up()
    assert feed(reading) == feed(writing)
    assert len(feed(reading)) == len(before) + 2


def test_who_follows_events_on_a_replica_skips_none_while_transactions_end_out_of_order(
    writing: Engine, reading: Engine
) -> None:
    writers = [threading.Thread(target=write, args=(writing, seed)) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    seen: list[UUID] = []
    end, stretches = START, 0
    deadline = time.monotonic() + READ_SECONDS_MAX
    while any(writer.is_alive() for writer in writers) or seen != feed(writing):
        assert time.monotonic() < deadline, f"{len(seen)} of {len(feed(writing))} events were told"
        with reading.begin() as connection:
            stretch = db.events.stretch(connection, Filter(), end, 10)
        seen += [event.id for event in stretch.events]
        end, stretches = stretch.end, stretches + bool(stretch.events)
    assert stretches > WRITERS
    assert len(seen) >= WRITERS * EVENTS_EACH


def write(writing: Engine, seed: int) -> None:
    """Commit transactions of uneven length: some overtake many others, and some are taken back."""
    draw = random.Random(seed)  # noqa: S311 - pauses, not secrets
    for _ in range(EVENTS_EACH):
        with writing.connect() as tx:
            tx.execute(text("SELECT pg_current_xact_id()"))
            time.sleep(draw.choice([0, 0, 0.002, 0.03]))
            made.ended(tx)
            time.sleep(draw.choice([0, 0, 0.01]))
            tx.commit()
            made.ended(tx)
            tx.rollback()
