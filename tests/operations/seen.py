"""What is seen of a database from outside, after it was set back or moved."""

from collections.abc import Iterator, Sequence, Sized
from typing import Any

import psycopg

from tests.flows.load import Receipt
from tests.flows.world import World
from tests.operations.figures import Operation
from tests.operations.scripts import plain


def known(database_url: str, receipts: Sequence[Receipt]) -> set[str]:
    """Return which of the answered jobs a database has."""
    query = "SELECT CAST(id AS text) FROM jobs WHERE CAST(id AS text) = ANY(%s)"
    with psycopg.connect(plain(database_url)) as owner:
        return {row[0] for row in owner.execute(query, [[receipt.job_id for receipt in receipts]])}


def query(url: str, statement: str, *parameters: object) -> Any:
    with psycopg.connect(plain(url)) as owner:
        row = owner.execute(statement.encode(), parameters or None).fetchone()
    return None if row is None else row[0]


def end_of_feed(world: World) -> str:
    """Read all events; return where to go on."""
    *_, cursor = pages(world, None)
    return str(cursor)


def feed(world: World, after: str) -> list[dict[str, Any]]:
    return [event for page in pages(world, after) if isinstance(page, list) for event in page]


def pages(world: World, after: str | None) -> Iterator[Any]:
    """Yield the pages of the feed and, after each, the cursor."""
    has_more = True
    while has_more:
        parameters = {"limit": 200} | ({"after": after} if after else {})
        answer = world.http.get("/v1/events", params=parameters).json()
        after, has_more = answer["next_cursor"] or after, answer["has_more"]
        yield answer["items"]
        yield after


def measured(name: str, seconds: float, meaning: str, *, jobs: Sequence[Receipt] = (), lost: Sized = ()) -> Operation:
    return Operation(name=name, jobs=len(jobs), lost=len(lost), doubled=0, seconds=seconds, meaning=meaning)
