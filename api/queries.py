"""Query parameters, read strictly: none comes twice or is unknown, nor says `null`, as if it were not there."""

from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from api.errors import Invalid

PARAMETERS_MAX = 100  # No route has ten; to take more apart is work for nothing.


def require_plain(request: Request[Any, Any, Any]) -> None:
    """Refuse a query that could be meant otherwise than it would be taken: a filter that is not applied shows all.

    Raises:
        Invalid: naming the parameter.

    """
    query: bytes = request.scope["query_string"]
    if not query:
        return
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
        )
    except UnicodeDecodeError as error:
        raise Invalid("query", "must be UTF-8, percent-encoded") from error
    except ValueError as error:
        raise Invalid("query", f"must have {PARAMETERS_MAX} parameters at most") from error
    seen, known = set[str](), _named(request.route_handler)
    for name, value in pairs:
        if name in seen:
            raise Invalid(name, "given more than once")
        if "\0" in name + value:
            raise Invalid(name.replace("\0", "") or "query", "must be text without U+0000")
        if value.lower() == "null":
            raise Invalid(name, "must have a value, or be left out")
        if known and name not in known:
            raise Invalid(name or "query", "unknown parameter")
        seen.add(name)


@lru_cache(maxsize=256)
def _named(handler: HTTPRouteHandler) -> frozenset[str]:
    """Return the parameters of a list; other routes take none, and have nothing that a mistyped one could widen."""
    fields = handler.parsed_fn_signature.parameters.items()
    return frozenset(
        field.kwarg_definition.name or name
        for name, field in fields
        if isinstance(field.kwarg_definition, QueryParameter)
    )
