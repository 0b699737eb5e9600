"""What operators did, for operators to read."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

import api.pages
import db.actions
from api.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from api.runtime import CallerRequest, reads
from domain.access import Access, Scope
from domain.actions import Action, OperatorAction

READ = {"access": Access(scope=Scope.ALL)}
OfAction = Annotated[Action | None, QueryParameter(description="Only actions of this kind.")]
OfObject = Annotated[
    str | None,
    QueryParameter(
        name="object",
        max_length=100,
        pattern="^[!-~]+$",  # PostgreSQL refuses NUL, and no id has blanks.
        description="Only what was done to the object with this id.",
    ),
]


@get("/v1/audit/actions", opt=READ, tags=["audit"])
async def list_actions(
    request: CallerRequest,
    *,
    action: OfAction = None,
    of_object: OfObject = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Page[OperatorAction]:
    """List what operators did, newest first. Each entry was written with the action itself, and nobody can edit it."""
    wanted, before = db.actions.Filter(action=action, object=of_object), api.pages.before_id(cursor)
    found = await reads(request, after=cursor).run(db.actions.page, wanted, before, limit + 1)
    return api.pages.page(found, limit, key=lambda one: one.id)


ROUTES = [list_actions]
