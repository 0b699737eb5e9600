"""Header fields as the server gives them (RFC 9110, section 5): a request has a dozen, and few are asked for."""

from collections.abc import Iterable
from typing import TypeVar, overload

T = TypeVar("T")


class Fields:
    """Finds values by the lower-case name of their field."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields = fields

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value."""
        wanted = name.encode()
        for field, value in self._fields:
            if field == wanted:
                return value.decode("latin-1")
        return default

    def getall(self, name: str, default: T) -> list[str] | T:
        wanted = name.encode()
        return [value.decode("latin-1") for field, value in self._fields if field == wanted] or default
