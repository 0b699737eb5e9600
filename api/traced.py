"""Around the whole application, where traces are on: a span for each request, in the trace that its caller began."""

from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

import tracing
from api.access_log import PROBES, UNKNOWN


class Traced:
    """An ASGI application around one that is observed, whose notes in the scope it reads."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        with tracing.request(str(scope["method"]), _traceparent(scope)) as tell:
            await self._app(scope, receive, send)
            tell(_described(scope))


def _traceparent(scope: HTTPScope) -> str | None:
    """Return the header, if there is just one (W3C Trace Context, section 3.2)."""
    given = [value for name, value in scope["headers"] if name == b"traceparent"]
    return given[0].decode("latin-1") if len(given) == 1 else None


def _described(scope: HTTPScope) -> dict[str, Any]:
    """Say what the access log says: nothing in the client's words."""
    state: dict[str, Any] = scope["state"]
    caller = scope.get("auth")
    return {
        "http.route": scope.get("path_template") or UNKNOWN,
        "http.response.status_code": state["status"],
        "tekana.request_id": state["request_id"],
        "tekana.caller": None if caller is None else caller.subject,
        "tekana.job_id": state.get("job_id"),
    }
