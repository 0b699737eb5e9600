"""The feed of events: the pull alternative to webhooks. It never skips one, and says the same."""

import base64
import binascii
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter

import api.story
import db.events
from api.errors import Invalid, NotFound
from api.pages import LIMIT_DEFAULT, Limit, Page
from api.runtime import CallerRequest, reads
from api.schemas import inlined
from db.engine import Connection
from db.events import START, Filter, Position
from domain.access import Access, Caller, Scope
from domain.events import MEANINGS, DisabledEndpoint, EndpointTest, Event, EventType, check_patterns
from domain.jobs import Job

READ = {"access": Access(scope=Scope.WEBHOOKS_READ)}
After = Annotated[
    str | None, QueryParameter(max_length=200, description="`next_cursor` of the answer before, or an event's id.")
]
OfType = Annotated[
    str | None,
    QueryParameter(max_length=64, description="Only events of this type, or of a prefix such as `transfer.*`."),
]


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """Events, oldest first. `next_cursor` is where to go on, also after the latest; it is null before the first."""

    items: list[Event]
    next_cursor: str | None
    has_more: bool


class EventDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A type of event: what it means, the JSON Schema of such an event, and an example."""

    type: EventType
    description: str
    schema: dict[str, Any]
    example: Event


@get("/v1/events", opt=READ, tags=["webhooks"])
async def list_events(
    request: CallerRequest, after: After = None, event_type: OfType = None, limit: Limit = LIMIT_DEFAULT
) -> Feed:
    """Read what has happened, oldest first, from `after` on.

    With `jobs:read` of everybody's jobs, otherwise of the caller's own. Ask again with the `next_cursor` of the
    answer, at once while `has_more` is true: no event is ever skipped. An answer may have fewer items than `limit`, and
    even none, and still `has_more`.
    """
    if event_type is not None:
        check_patterns([event_type], "event_type")
    start = await _position(request, after)
    wanted = readable(request.auth, event_type)
    found = await reads(request).run(db.events.stretch, wanted, start, limit)
    cursor = None if found.end == START else encode_cursor(found.end)
    return Feed(items=found.events, next_cursor=cursor, has_more=found.has_more)


@get("/v1/events/{event_id:uuid}", opt=READ, tags=["webhooks"])
async def get_event(request: CallerRequest, event_id: FromPath[UUID]) -> Event:
    """Read an event. Its id is the `webhook-id` of its messages."""
    wanted = readable(request.auth)
    found = await reads(request).run(db.events.find, event_id, wanted)
    if found is None:
        raise NotFound
    return found


@get("/v1/event-types", opt={"access": Access(customers=True, keys=True)}, tags=["webhooks"])
async def list_event_types() -> Page[EventDescription]:
    """List the types of events, each with a JSON Schema and an example."""
    return Page(items=[describe(one) for one in EventType], next_cursor=None)


def describe(one: EventType) -> EventDescription:
    schema = inlined(Event)
    schema["properties"]["type"] = {"const": one.value}
    schema["properties"]["data"] = inlined(DATA.get(one, Job))
    return EventDescription(type=one, description=MEANINGS[one], schema=schema, example=api.story.event(one))


DATA: dict[EventType, type[msgspec.Struct]] = {
    EventType.ENDPOINT_DISABLED: DisabledEndpoint,
    EventType.WEBHOOK_TEST: EndpointTest,
}


def readable(caller: Caller, pattern: str | None = None) -> Filter:
    """Return what of the feed the caller may read."""
    subject = None if caller.holds(Scope.ALL) else caller.subject
    return Filter(subject=subject, all_jobs=caller.holds(Scope.JOBS_READ), pattern=pattern)


async def _position(request: CallerRequest, after: str | None) -> Position:
    """Return where to begin. An event that the caller may not read is not there."""
    if after is None:
        return START
    event_id = _event_id(after)
    if event_id is None:
        return decode_cursor(after)
    found = await reads(request).run(_place, event_id, readable(request.auth))
    if found is None:
        raise Invalid("after", "there is no such event")
    return found


def _place(connection: Connection, event_id: UUID, wanted: Filter) -> Position | None:
    return db.events.position(connection, event_id) if db.events.find(connection, event_id, wanted) else None


def _event_id(after: str) -> UUID | None:
    try:
        return UUID(after)
    except ValueError:
        return None


def encode_cursor(position: Position) -> str:
    return base64.urlsafe_b64encode(f"{position.xact_id}.{position.event_id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> Position:
    """Return the place that a cursor names.

    Raises:
        Invalid: it names none.

    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        xact_id, _, event_id = text.partition(".")
        result = Position(xact_id=int(xact_id), event_id=UUID(event_id))
    except (binascii.Error, ValueError) as error:
        raise Invalid("after", "neither a cursor of this feed nor an event's id") from error
    if not 0 <= result.xact_id < 2**63:
        raise Invalid("after", "neither a cursor of this feed nor an event's id")
    return result


ROUTES = [list_events, get_event, list_event_types]
