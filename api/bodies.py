"""Request bodies, decoded strictly: `"5"`, `5.0` and `true` are not the integer 5, and no key comes twice.

Litestar's own decoding converts laxly, which is a bug at the money boundary; as a DTO of the whole
application this one serves every handler, and OpenAPI still shows the bodies' types.
"""

import contextlib
import json
import math
import re
from collections.abc import Generator
from typing import Any

import msgspec
from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from api.errors import Invalid, UnsupportedMediaType
from domain.errors import InvalidField

BODY_MAX_BYTES = 64 * 1024  # The largest legal body, a transfer with full metadata, has 28 kB.
BODY = "body"
JSON = "application/json"
CONTAINERS = (dict, list)  # As msgspec reads JSON's.


class StrictBody(AbstractDTO[msgspec.Struct]):
    def decode_bytes(self, value: bytes) -> Any:
        require_json(self.asgi_connection.headers.get("content-type", ""))
        handler: Any = self.asgi_connection.route_handler
        return decode(value, handler.parsed_data_field.annotation)

    @classmethod
    def is_supported_model_type_field(cls, field_definition: FieldDefinition) -> bool:
        return field_definition.is_subclass_of(msgspec.Struct)

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
        """No transfer models: the struct itself is decoded."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        del handler_id
        result: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return result

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        del model_type
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        del field_definition
        return False


def require_json(content_type: str) -> None:
    """Raise UnsupportedMediaType for anything else, whatever its parameters."""
    if content_type != JSON and content_type.partition(";")[0].strip().lower() != JSON:
        raise UnsupportedMediaType


def decode(body: bytes, type_: Any) -> Any:
    """Return the body as `type_`.

    Raises:
        Invalid: it is not JSON (RFC 8259), a key comes twice, or a field breaks its rule.

    """
    try:
        result = msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        inspect(body)
        raise Invalid(BODY, f"not valid JSON: {error}") from error
    if not is_plain(body):
        inspect(body)
    return result


def is_plain(body: bytes) -> bool:
    """Tell of a body that msgspec has read, without a walk in Python, that `inspect` would find nothing in it.

    Outside of texts, each colon follows a name: if there are as many as there are different names, none is there twice.
    """
    names = _names(_anything.decode(body))
    if body.count(b":") == names and b"\\" not in body:  # Not even a text has a colon.
        return True
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"")  # What is left of quotation marks bounds texts.
    outside = b"".join(bare.split(b'"')[::2])
    return rb"\u0000" not in bare and outside.count(b":") == names


def _names(value: Any) -> int:
    if not isinstance(value, dict):
        return sum(map(_names, value)) if isinstance(value, list) else 0
    count = len(value)
    for inner in value.values():
        if isinstance(inner, CONTAINERS):
            count += _names(inner)
    return count


class _Object(list[tuple[str, Any]]):
    """A JSON object as it was written, with keys that come twice."""


_decoder = json.JSONDecoder(object_pairs_hook=_Object)
_anything = msgspec.json.Decoder()


def inspect(body: bytes) -> None:
    """Refuse what msgspec lets pass, and name the field where it only says that the body is no JSON.

    It takes the last of duplicate keys, and accepts NUL, which PostgreSQL refuses. NaN, infinities, lone
    surrogates and bytes that are no UTF-8 (here surrogates too) it refuses without a name.
    """
    # What this laxer parser cannot read either stays a refusal of the body.
    with contextlib.suppress(ValueError, RecursionError):
        _refuse(_decoder.decode(body.decode("utf-8", "surrogateescape")), "")


def _refuse(value: Any, field: str) -> None:
    match value:
        case _Object():
            _refuse_names(value, field)
            for name, inner in value:
                _refuse(inner, _within(field, name))
        case list():
            for inner in value:
                _refuse(inner, field)
        case str() if NO_TEXT.search(value):
            raise Invalid(field or BODY, "must be Unicode text without U+0000")
        case float() if not math.isfinite(value):
            raise Invalid(field or BODY, "must be a number that JSON knows")


def _refuse_names(pairs: _Object, field: str) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if NO_TEXT.search(name):
            raise Invalid(field or BODY, "must have names of Unicode text without U+0000")
        if name in seen:
            raise Invalid(_within(field, name), "given more than once")
        seen.add(name)


def _invalid(error: msgspec.ValidationError) -> Invalid:
    found = PATH.search(str(error))
    field = found[1].replace("[...]", "") if found else ""
    cause = error.__cause__
    if isinstance(cause, InvalidField):
        return Invalid(_within(field, cause.field), cause.message)
    message = PATH.sub("", str(error))
    if named := NAMED.search(message):
        field = _within(field, named[1])
        message = "unknown field" if "unknown" in message else "required"
    return Invalid(field or BODY, message.replace("`", ""))


def _within(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


NAMED = re.compile(r"Object (?:contains unknown|missing required) field `(.*)`")
PATH = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
NO_TEXT = re.compile("[\x00\ud800-\udfff]")
