"""Imports: files of a previous platform's customers and wallets, and what tells one row from another."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from operator import itemgetter
from uuid import UUID

import msgspec

from domain.errors import InvalidField


class FileKind(StrEnum):
    CUSTOMERS = "customers"
    WALLETS = "wallets"


class LegacyKind(StrEnum):
    CUSTOMER = "customer"
    WALLET = "wallet"


# In the order in which `parse` gets them.
REQUIRED = {
    FileKind.CUSTOMERS: ("legacy_id", "full_name", "email", "national_id", "password_hash", "created_at"),
    FileKind.WALLETS: ("legacy_id", "customer_legacy_id", "currency", "balance_minor", "created_at"),
}
OPTIONAL = {
    FileKind.CUSTOMERS: ("phone", "gender"),
    FileKind.WALLETS: ("number", "type", "state"),
}


class Problem(msgspec.Struct, frozen=True, gc=False):
    """Why a row is rejected. `field` is empty when it is the row as a whole."""

    field: str
    rule: str


class Header(msgspec.Struct, frozen=True, kw_only=True):
    kind: FileKind
    width: int
    pick: Callable[[Sequence[str]], tuple[str, ...]]  # From a row with "" behind it, the values in our order.


def header(names: Sequence[str]) -> Header:
    """Return which file it is, and where its columns are.

    Raises:
        InvalidField: a column is missing, unknown or there twice.

    """
    columns = [name.strip() for name in names]
    kind = max(FileKind, key=lambda one: _in_common(columns, one))
    if not _in_common(columns, kind):
        raise InvalidField("columns", "none is one of ours: values are separated by commas, and in UTF-8")
    known = (*REQUIRED[kind], *OPTIONAL[kind])
    for name in columns:
        if name not in known:
            raise InvalidField(name, f"is no column of a file of {kind}, which are {', '.join(known)}")
    for name in REQUIRED[kind]:
        if name not in columns:
            raise InvalidField(name, f"a file of {kind} has this column")
    for name in columns:
        if columns.count(name) > 1:
            raise InvalidField(name, "is there twice")
    places = [columns.index(name) if name in columns else -1 for name in known]
    return Header(kind=kind, width=len(columns), pick=itemgetter(*places))


def _in_common(columns: Sequence[str], kind: FileKind) -> int:
    """Return how many columns are of this kind, whatever their case: who reads the error knows which was meant."""
    return len({name.casefold() for name in columns} & {*REQUIRED[kind], *OPTIONAL[kind]})


def identifier(kind: str, legacy_id: str, at: datetime) -> UUID:
    """Return a UUIDv7 of the legacy date: the same for the same row wherever and however often it is imported."""
    milliseconds = int(at.timestamp() * 1000)
    drawn = int.from_bytes(blake2b(f"{kind}:{legacy_id}".encode(), digest_size=10).digest())
    high, low = drawn >> 62 & 0xFFF, drawn & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)
