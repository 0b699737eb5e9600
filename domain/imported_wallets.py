"""Wallets of a previous platform, and what they held: what a row must say, and which ones are refused."""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.errors import InvalidField
from domain.imported_values import Fields, legacy_id, moment, one_of
from domain.imports import Problem
from domain.money import CURRENCIES
from domain.openings import Opening
from domain.wallets import WalletState, parse_number

TYPES = ("personal", "saving", "loan")
STATES = tuple(WalletState)
MINOR = re.compile(r"[0-9]{1,16}")  # Of the largest amount, 10^15, there are 16 digits.


class ImportedWallet(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    legacy_id: str
    customer_legacy_id: str
    number: str | None  # None: it gets one of ours.
    currency: str
    type: str
    state: str
    balance: int  # Minor units.
    created_at: datetime


def parse(values: Sequence[str], now: datetime, balance_max: int) -> ImportedWallet | list[Problem]:
    """Return what the row says, or every rule that it breaks. `values` are in the order of the columns."""
    fields = Fields()
    old_id, customer, currency, balance, created_at, number, kind, state = values
    wallet = {
        "legacy_id": fields.parse(legacy_id, old_id),
        "customer_legacy_id": fields.parse(legacy_id, customer, "customer_legacy_id"),
        "number": fields.parse(parse_number, number, "number") if number else None,
        "currency": fields.parse(_currency, currency.strip()),
        "type": fields.parse(one_of, kind or "personal", "type", TYPES),
        "state": fields.parse(one_of, state or "open", "state", STATES),
        "balance": fields.parse(_balance, balance, balance_max),
        "created_at": fields.parse(moment, created_at, now),
    }
    if state == WalletState.CLOSED and wallet["balance"]:
        fields.problems.append(Problem("balance_minor", "of a closed wallet is 0"))
    return fields.problems or ImportedWallet(**wallet)  # type: ignore[arg-type]  # without a problem, none is None


def _currency(code: str) -> str:
    if code not in CURRENCIES:  # The rule quotes no value: rejects may be mailed around.
        raise InvalidField("currency", "is an ISO 4217 code, such as RWF")
    return code


def _balance(text: str, balance_max: int) -> int:
    if not MINOR.fullmatch(text.strip()) or (balance := int(text)) > balance_max:
        raise InvalidField("balance_minor", f"is a whole number of minor units, 0 to {balance_max}")
    return balance


class OpenedWallet(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A wallet to open, and the posting that brings what it held; an empty one has none."""

    id: UUID
    row: ImportedWallet
    opening: Opening | None


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a batch's keys are known already."""

    legacy_ids: Collection[str]
    numbers: Collection[str]
    customers: Collection[str]  # Legacy ids of customers who are here.


def duplicates(batch: Iterable[ImportedWallet], taken: Taken) -> list[list[Problem]]:
    """Return, for each of the batch, why it cannot stand beside what is here and the ones before it."""
    old_ids, numbers = set(taken.legacy_ids), set(taken.numbers)
    found = []
    for one in batch:
        problems = []
        if one.legacy_id in old_ids:
            problems.append(Problem("legacy_id", "belongs to an earlier wallet"))
        if one.number in numbers:
            problems.append(Problem("number", "belongs to an earlier wallet"))
        if one.customer_legacy_id not in taken.customers:
            problems.append(
                Problem("customer_legacy_id", "is no customer who was imported, or is one who is frozen or closed")
            )
        if not problems:
            old_ids.add(one.legacy_id)
            if one.number is not None:
                numbers.add(one.number)
        found.append(problems)
    return found


class StoredWallet(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of a row; `balance` is what its opening brought, whatever has moved since."""

    legacy_id: str
    customer_legacy_id: str | None
    number: str
    currency: str
    type: str
    state: str
    balance: int
    created_at: datetime


def differing(source: ImportedWallet, stored: StoredWallet) -> list[Problem]:
    """Return the fields that are not as in the source, to the minor unit."""
    wanted = source if source.number is not None else replace(source, number=stored.number)
    return [
        Problem(
            "balance_minor" if name == "balance" else name, f"is {getattr(stored, name)}, not {getattr(wanted, name)}"
        )
        for name in StoredWallet.__struct_fields__
        if getattr(wanted, name) != getattr(stored, name)
    ]
