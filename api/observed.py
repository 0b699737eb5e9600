"""Around the whole application: every response has a request id, is counted by route and status, and logged."""

import re
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import structlog
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from litestar.utils import normalize_path
from prometheus_client import Counter, Histogram
from uuid_utils import uuid7

from api.access_log import UNKNOWN, LogAccess
from api.limits import TOLD, fields

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")  # Anything else could forge a line of a log.

answers = Counter("tekana_http_requests", "Answers.", ["method", "route", "status"])
seconds = Histogram(
    "tekana_http_request_seconds",
    "Time from a request's arrival to the head of its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class Observed:
    """An ASGI application around another one; also sees what Litestar refuses before any middleware runs."""

    def __init__(self, app: ASGIApp, litestar: Litestar, log_access: LogAccess) -> None:
        self._app = app
        self._litestar = litestar
        self._log_access = log_access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id.decode()
        structlog.contextvars.bind_contextvars(request_id=state["request_id"])
        started = time.perf_counter()
        state["status"] = 500  # What the server answers for who does not.

        async def send_observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                rates = fields(told) if (told := state.get(TOLD)) else ()
                message["headers"] = [*message["headers"], (b"x-request-id", request_id), *rates]
                method, route = str(scope["method"]), self._route(scope, message["headers"])
                state["status"] = message["status"]
                _answers(method, route, message["status"]).inc()
                _seconds(method, route).observe(time.perf_counter() - started)
            await send(message)

        try:
            await self._app(scope, receive, send_observed)
        finally:
            self._log_access(scope, state["status"], time.perf_counter() - started)

    def _route(self, scope: HTTPScope, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return the template of the route. An unknown path has none: its text is the client's, and no label."""
        if template := scope.get("path_template"):
            return str(template)
        # A path that is there, but not for this method: Allow names those that have a route.
        allowed = next((value for name, value in headers if name == b"allow"), b"").decode().partition(",")[0]
        return self._template(scope["path"], allowed) if allowed else UNKNOWN

    def _template(self, path: str, method: str) -> str:
        try:
            return self._litestar.asgi_router.handle_routing(path=normalize_path(path), method=method)[-1]
        except HTTPException:
            return UNKNOWN


# Finding a metric by its labels costs more than counting with it. Routes and statuses are few.
_answers = lru_cache(maxsize=1_000)(answers.labels)
_seconds = lru_cache(maxsize=1_000)(seconds.labels)


def request_id_of(scope: Mapping[str, Any]) -> bytes:
    """Return the name that the client gave its request, if it is a sane one, or a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given if REQUEST_ID.fullmatch(given) else str(uuid7()).encode()
