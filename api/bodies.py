"""Request bodies, decoded strictly: `"5"`, `5.0` and `true` are not the integer 5, and no key comes twice.

Litestar's own decoding converts laxly, which is a bug at the money boundary; as a DTO of the whole
application this one serves every handler, and OpenAPI still shows the bodies' types.
"""

import json
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


class StrictBody(AbstractDTO[msgspec.Struct]):
    def decode_bytes(self, value: bytes) -> Any:
        content_type = self.asgi_connection.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaType
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
        raise Invalid(BODY, f"not valid JSON: {error}") from error
    # What msgspec lets pass: duplicate keys, of which it takes the last, and NUL, which PostgreSQL refuses.
    json.loads(body, object_pairs_hook=_refuse_duplicates)
    if b"\\u0000" in body:
        raise Invalid(BODY, "must not contain the character U+0000")
    return result


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Invalid(twice, "given more than once")


def _invalid(error: msgspec.ValidationError) -> Invalid:
    cause = error.__cause__
    if isinstance(cause, InvalidField):
        return Invalid(cause.field, cause.message)
    message, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").removeprefix(".")
    if named := NAMED.search(message):
        field = f"{field}.{named[1]}" if field else named[1]
        message = "unknown field" if "unknown" in message else "required"
    return Invalid(field or BODY, message.replace("`", ""))


NAMED = re.compile(r"Object (?:contains unknown|missing required) field `(.*)`")
