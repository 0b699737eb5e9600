"""The OpenAPI document: Litestar says which routes there are, and here stands what each of them promises.

Who may call, which errors and headers there are: all of it follows from the handlers. `make docs`
writes the document to docs/openapi.json, and a test compares the two.
"""

import sys
from collections.abc import Iterator
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig

from api.errors import HTTP_CODES, PROBLEM, ApiError, Problem, title
from api.examples import EXAMPLES, Example
from api.openapi_texts import (
    DESCRIPTION,
    ERRORS,
    HEADERS,
    MESSAGE,
    MESSAGE_ANSWERS,
    MESSAGE_HEADERS,
    PARAMETERS,
    REJECTIONS,
    SECURITY,
    STATUSES,
    TAGS,
)
from api.routes import ROUTES
from api.runtime import AnyoneRequest
from api.schemas import Schema, components
from api.story import REQUEST_ID, queued
from domain.access import Access
from domain.errors import MESSAGES
from domain.events import Event
from domain.jobs import Job
from domain.webhooks import CreatedWebhookEndpoint, RotatedSecret

VERSION = "1.0.0"
JSON = "application/json"
CONFIG = OpenAPIConfig(
    title="Tekana",
    version=VERSION,
    operation_id_creator=lambda handler, _method, _path: handler.handler_name,
    use_handler_docstrings=True,
)


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    # An application of its own, which serves nothing: Litestar would serve its pages beside ours.
    app = Litestar(route_handlers=ROUTES, openapi_config=CONFIG, logging_config=None)
    drawn = app.openapi_schema.to_schema()
    handlers = {handler.handler_name: handler for handler in _handlers(app)}
    schemas = _Schemas(handlers.values())
    return {
        "openapi": "3.1.0",
        "info": {"title": CONFIG.title, "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": {
            path: {
                method: _operation(one, handlers[one["operationId"]], schemas)
                for method, one in sorted(item.items(), reverse=True)  # A thing is made before it is read.
            }
            for path, item in drawn["paths"].items()
        },
        "webhooks": {"event": MESSAGE_ITEM},
        "components": {
            "schemas": schemas.named,
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": {name: _problem(status) for status, name in ERRORS.items()},
            "pathItems": {"Message": {"post": _message(schemas)}},
            "securitySchemes": SECURITY,
        },
    }


def rendered() -> bytes:
    """Return the document as docs/openapi.json holds it."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


def problems() -> dict[int, dict[str, str]]:
    """Return, for each status, every code and the sentence that goes with it."""
    result = {
        405: {"method_not_allowed": "The path is there, but not for this method; Allow says for which."},
        413: {HTTP_CODES[413]: "The body is larger than 64 kB, or than 1 MB for a bulk."},
        500: {ApiError.code: "A bug of ours; it was logged under the request_id."},
    }
    for error in _subclasses(ApiError):
        result.setdefault(error.status.value, {})[error.code] = error.__doc__ or ""
    return dict(sorted(result.items()))


class _Schemas:
    """What the handlers take and return."""

    def __init__(self, handlers: Any) -> None:
        types = {type_ for handler in handlers for type_ in (_taken(handler), _returned(handler)) if type_} | {Problem}
        ordered = sorted(types, key=str)
        references, self.named = components(ordered)
        self._references = dict(zip(ordered, references, strict=True))

    def __getitem__(self, type_: Any) -> Schema:
        return self._references[type_]


def _handlers(app: Litestar) -> Iterator[HTTPRouteHandler]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", []):
            if "access" in handler.opt:
                yield handler


def _subclasses(error: type[ApiError]) -> Iterator[type[ApiError]]:
    for one in error.__subclasses__():
        yield one
        yield from _subclasses(one)


def _taken(handler: HTTPRouteHandler) -> Any:
    return handler.parsed_data_field and handler.parsed_data_field.annotation


def _returned(handler: HTTPRouteHandler) -> Any:
    """Return the type of the JSON that a handler answers with; None if it is something else."""
    annotation = handler.parsed_return_field.annotation
    if get_origin(annotation) is Response:
        annotation = get_args(annotation)[0]
    is_other = annotation in (None, type(None), bytes) or handler.handler_name in OTHER_MEDIA
    return None if is_other else annotation


OTHER_MEDIA = {"stream_job": "text/event-stream", "metrics": "text/plain"}


def _operation(drawn: dict[str, Any], handler: HTTPRouteHandler, schemas: _Schemas) -> dict[str, Any]:
    name, example = handler.handler_name, EXAMPLES[handler.handler_name]
    summary, _, rest = " ".join(drawn["description"].split()).partition(". ")
    result = {
        "operationId": name,
        "tags": drawn["tags"],
        "summary": summary.removesuffix("."),
        "description": "\n\n".join(filter(None, [rest, _audience(handler), _rejections(name)])),
        "security": security(handler),
        "parameters": [_parameter(one) for one in drawn.get("parameters", [])] + _header_parameters(handler),
        "responses": _answers(handler, example, schemas) | _errors(drawn, handler, schemas),
    }
    if "429" in result["responses"]:
        _tell_of_rates(result["responses"])
    if (taken := _taken(handler)) is not None:
        content = {JSON: {"schema": schemas[taken], "example": example.request}}
        result["requestBody"] = {"required": True, "content": content}
        if "callback_url" in taken.__struct_fields__:
            result["callbacks"] = {"ended": {"{$request.body#/callback_url}": MESSAGE_ITEM}}
    return result


def _tell_of_rates(responses: dict[str, Any]) -> None:
    """Where a rate may be exceeded, what is left of it goes with each answer; errors share theirs with other routes."""
    for status, answer in responses.items():
        if status.startswith("2"):
            answer["headers"] |= {name: _reference("headers", name) for name in RATES}


MESSAGE_ITEM = {"$ref": "#/components/pathItems/Message"}


def _message(schemas: _Schemas) -> dict[str, Any]:
    """Return what a receiver is sent, to an endpoint and to a callback URL alike."""
    content = _json(EXAMPLES["get_event"].answer, schemas[Event])
    return {
        "tags": ["webhooks"],
        "summary": "A signed message, which tells of one event",
        "description": MESSAGE,
        "security": [],
        "parameters": [_reference("parameters", name) for name in MESSAGE_HEADERS],
        "requestBody": {"required": True, "content": content},
        "responses": {status: {"description": text} for status, text in MESSAGE_ANSWERS.items()},
    }


def security(handler: HTTPRouteHandler) -> list[dict[str, list[str]]]:
    """Return what a caller must present: nothing, a token or nothing, or a token."""
    if not _access(handler).anyone:
        return [{"bearer": []}]
    return [{"bearer": []}, {}] if _knows_callers(handler) else []


def _access(handler: HTTPRouteHandler) -> Access:
    access: Access = handler.opt["access"]
    return access


def _knows_callers(handler: HTTPRouteHandler) -> bool:
    """Tell whether a route for anyone makes a difference between callers."""
    request = handler.parsed_fn_signature.parameters.get("request")
    return request is not None and request.annotation == AnyoneRequest


def _audience(handler: HTTPRouteHandler) -> str:
    access = _access(handler)
    callers = {
        "anyone": access.anyone,
        "customers": access.customers,
        "API keys": access.keys,
        f"API keys with `{access.scope}`": access.scope is not None,
    }
    return f"**Who may call:** {' and '.join(name for name, may in callers.items() if may)}."


def _rejections(name: str) -> str:
    """Say why the job can be rejected, in the order in which the rules are applied."""
    if name not in REJECTIONS:
        return ""
    lines = [f"- `{code}`: {MESSAGES[code]}" for code in REJECTIONS[name]]
    return "**The job is `rejected`** by the first of these rules that applies:\n\n" + "\n".join(lines)


def _parameter(drawn: dict[str, Any]) -> dict[str, Any]:
    """Leave out what Litestar adds: defaults, and null, which no path or query can hold."""
    schema = {name: value for name, value in drawn["schema"].items() if name not in {"description", "oneOf"}}
    for choice in drawn["schema"].get("oneOf", []):
        if choice.get("type") != "null":
            schema = choice | schema
    schema = {name: int(value) if isinstance(value, float) else value for name, value in schema.items()}
    kept = {name: drawn[name] for name in ("name", "in", "description", "required") if name in drawn}
    return kept | {"schema": schema}


def _header_parameters(handler: HTTPRouteHandler) -> list[dict[str, str]]:
    names = {"get_job": ["Prefer", "If-None-Match"], "stream_job": ["Last-Event-ID"]}.get(handler.handler_name, [])
    if _queues_a_job(handler):
        names = ["Idempotency-Key", "Prefer"]
    return [_reference("parameters", name) for name in names]


def _answers(handler: HTTPRouteHandler, example: Example, schemas: _Schemas) -> dict[str, Any]:
    name, returned = handler.handler_name, _returned(handler)
    if returned is Job:
        return _job_answers(handler, example.answer, schemas[Job])
    if name in OTHER_MEDIA:
        return {"200": _answer("As text.", content={OTHER_MEDIA[name]: {"example": example.answer}})}
    if returned is None:
        return {"204": _answer("Done.")}
    content, headers = _json(example.answer, schemas[returned]), ["Cache-Control"] * (returned in SECRETS)
    if handler.status_code in MADE:
        return {str(handler.status_code): _answer(MADE[handler.status_code], ["Location", *headers], content)}
    return {"200": _answer("As asked for.", headers, content)}


SECRETS = (CreatedWebhookEndpoint, RotatedSecret)
MADE = {201: "As it was made.", 202: "What will be done, from now on for sure."}


def _queues_a_job(handler: HTTPRouteHandler) -> bool:
    return handler.status_code == 202 and _returned(handler) is Job


def _job_answers(handler: HTTPRouteHandler, job: Job, schema: Schema) -> dict[str, Any]:
    finished, durable = _json(job, schema), _json(queued(job), schema)
    if _queues_a_job(handler):
        return {
            "200": _answer("The finished job, if `Prefer: wait=N` asked to wait for it.", JOB_DONE, finished),
            "202": _answer("The job, which is durable from now on.", JOB_QUEUED, durable),
        }
    if handler.handler_name == "cancel_job":
        return {"200": _answer("The canceled job.", ["ETag"], finished)}
    return {
        "200": _answer("The job as it stands.", JOB_READ, finished),
        "304": _answer("The finished job is the one that you have.", ["ETag", "Preference-Applied"]),
    }


RATES = ["RateLimit", "RateLimit-Policy"]
JOB_QUEUED = ["Location", "Retry-After", "ETag", "Idempotency-Hit", "Preference-Applied"]
JOB_DONE = ["Location", "ETag", "Idempotency-Hit", "Preference-Applied"]
JOB_READ = ["ETag", "Retry-After", "Preference-Applied"]


def _json(example: Any, schema: Schema) -> dict[str, Any]:
    return {JSON: {"schema": schema, "example": msgspec.to_builtins(example)}}


def _answer(text: str, headers: list[str] | None = None, content: dict[str, Any] | None = None) -> dict[str, Any]:
    names = [*(headers or []), "X-Request-Id"]
    result: dict[str, Any] = {"description": text, "headers": {name: _reference("headers", name) for name in names}}
    return result if content is None else result | {"content": content}


def _errors(drawn: dict[str, Any], handler: HTTPRouteHandler, schemas: _Schemas) -> dict[str, Any]:
    result = {str(status): _reference("responses", ERRORS[status]) for status in sorted(_statuses(drawn, handler))}
    if handler.handler_name == "ready":
        down = msgspec.structs.replace(EXAMPLES["ready"].answer, status="unavailable", redis="down")
        content = _json(down, schemas[type(down)])
        result["503"] = _answer("A dependency is down; the body says which.", ["Retry-After"], content)
    return result


def _statuses(drawn: dict[str, Any], handler: HTTPRouteHandler) -> set[int]:
    """Return the errors that a route can answer; a 500 would be a bug."""
    access, places = _access(handler), {parameter["in"] for parameter in drawn.get("parameters", [])}
    rules = {
        400: "query" in places or _taken(handler) is not None,
        401: not access.is_the_same_for_all,
        403: not (access.anyone or (access.customers and access.keys)),
        404: "path" in places,
        413: _taken(handler) is not None,
        415: _taken(handler) is not None,
        422: _queues_a_job(handler),
        429: not all(map(access.is_open_to_read, handler.http_methods)),
        503: handler.handler_name not in {"live", "metrics"},
    }
    return {status for status, holds in rules.items() if holds} | STATUSES.get(handler.handler_name, set())


def _problem(status: int) -> dict[str, Any]:
    codes = problems()[status]
    code, sentence = next(iter(codes.items()))
    example = Problem(
        type=f"/docs#{code}",
        title=title(HTTPStatus(status)),
        status=status,
        detail=sentence,
        instance="/v1/transfers",
        code=code,
        request_id=REQUEST_ID,
    )
    extra = {401: ["WWW-Authenticate"], 429: ["Retry-After", *RATES], 503: ["Retry-After"]}.get(status, [])
    text = "\n".join(f"- `{code}`: {sentence}" for code, sentence in codes.items())
    schema = {"$ref": "#/components/schemas/Problem"}
    return _answer(text, extra, {PROBLEM: {"schema": schema, "example": msgspec.to_builtins(example)}})


def _reference(section: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{section}/{name}"}


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(rendered())
