"""The short way to the handlers that take nearly all of the load, which cost less than Litestar's way to them.

A request of the usual kind, for a handler marked by `opt={EXPRESS: True}`, goes from the server to the handler and back
without Litestar's routing, signature models and response objects. Its route, access, body and errors are what Litestar
would have made of it, by the same functions; any other request is Litestar's (decision 26).
"""

from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, HTTPScope, Receive, Scope, Send

from api.access import authorise
from api.bodies import JSON, decode, require_json
from api.errors import RequestTimeout, to_problem
from api.fields import Fields

EXPRESS = "express"
SIZE_DIGITS_MAX = 9  # Of a Content-Length: a gigabyte, which no route takes.


class Express:
    """An ASGI application around Litestar's."""

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._handlers = {
            route.path: handler
            for route in app.routes
            if isinstance(route, HTTPRoute)
            for handler in route.route_handlers
            if handler.opt.get(EXPRESS)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            handler = self._handlers.get(scope["path"])
            if handler is not None and _is_usual(scope, handler):
                await self._run(handler, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _run(self, handler: HTTPRouteHandler, scope: HTTPScope, receive: Receive, send: Send) -> None:
        scope["litestar_app"], scope["route_handler"], scope["path_template"] = self._app, handler, scope["path"]
        try:
            request = ExpressRequest(scope)
            await authorise(request)
            require_json(request.headers.get("content-type", ""))
            data = decode(await _read(receive), handler.parsed_data_field.annotation)  # type: ignore[union-attr] # it takes a body
            response = await handler.fn(request=request, data=data)
        except Exception as error:  # noqa: BLE001 - as Litestar does: every error has an answer
            response = to_problem(Request(scope), error)
        await _answer(response, send)


def _is_usual(scope: HTTPScope, handler: HTTPRouteHandler) -> bool:
    """Whether the request has the handler's method and a body of known size that it may have, in plain words."""
    if scope["method"] not in handler.http_methods:
        return False
    size = Fields(scope["headers"]).get("content-length", "")
    if not size.isdecimal() or len(size) > SIZE_DIGITS_MAX:
        return False
    return 0 < int(size) <= (handler.resolve_request_max_body_size() or 0)


async def _read(receive: Receive) -> bytes:
    """Return the body, whose size the server has checked."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RequestTimeout
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


async def _answer(response: Response[Any], send: Send) -> None:
    content = response.content
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers.items()]
    headers.append((b"content-type", (response.media_type or JSON).encode()))
    headers.append((b"content-length", str(len(body)).encode()))
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": response.status_code or HTTPStatus.OK,
        "headers": headers,
    }
    end: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}
    await send(start)
    await send(end)


class ExpressRequest(Request[Any, Any, State]):
    """What handlers ask of a request, without what Litestar prepares for the rest."""

    __slots__ = ("_fields",)

    def __init__(self, scope: HTTPScope) -> None:
        self.scope = scope
        self._fields = Fields(scope["headers"])

    @property
    def headers(self) -> Fields:  # type: ignore[override] # as much of Litestar's as is asked for
        return self._fields
