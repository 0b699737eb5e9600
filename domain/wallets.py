"""Wallets: numbers that a typo cannot turn into another wallet's, and who may hold what."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID, uuid5

import msgspec

from domain.errors import InvalidField
from domain.jobs import CallbackUrl, Claimed
from domain.money import Currency, require_currency
from domain.velocity import Spent

NUMBER_BODY_DIGITS = 10  # Ten thousand million wallets; with two check digits still typeable: 1234 5678 9012.
NUMBER_DIGITS = NUMBER_BODY_DIGITS + 2
# Coprime with 10, so that counting up visits every body once, in an order that does not look like counting.
NUMBER_STRIDE = 3_819_660_113
SYSTEM_NAMESPACE = UUID("0e7b9a52-7f4d-5b0e-9a6c-5a1d6f1c2b3e")


class WalletState(StrEnum):
    OPEN = "open"  # Money comes and goes.
    FROZEN = "frozen"  # Nothing moves until an operator says so.
    CLOSED = "closed"  # Empty, and for good.


class SystemWallet(StrEnum):
    CASH_IN = "cash_in"  # Where deposits come from: its balance is minus what was paid in.
    CASH_OUT = "cash_out"  # Where withdrawals go to.
    FEES = "fees"  # What the platform earns.
    OPENING = "opening"  # Where balances come from that a previous platform kept.


class WalletRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The wallet that a registration may ask for."""

    currency: Currency
    type: Literal["personal", "saving", "loan"] = "personal"

    def __post_init__(self) -> None:
        require_currency(self.currency)


class OpenWallet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`customer_id` is for API keys; a customer opens wallets of their own only."""

    currency: Currency
    type: Literal["personal", "saving", "loan"] = "personal"
    customer_id: UUID | None = None
    callback_url: CallbackUrl | None = None

    def __post_init__(self) -> None:
        require_currency(self.currency)


class WalletOpening(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of `wallet.open`."""

    customer_id: UUID
    currency: str
    type: str


class NewWallet(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    customer_id: UUID
    number: str
    currency: str
    type: str


class LockedWallet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the ledger needs of a wallet whose row is locked. Amounts in minor units."""

    id: UUID
    currency: str
    state: WalletState
    balance: int
    held: int
    balance_min: int
    balance_max: int
    sequence: int  # How many entries it has.
    seal: bytes  # Of its latest entry.
    spent: Spent | None = None  # None also where velocity is not limited: then nobody reads or writes it.


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet as its owner sees it. Amounts in minor units."""

    id: UUID
    number: str
    customer_id: UUID
    currency: str
    type: str
    state: WalletState
    balance: int
    held: int
    available: int
    created_at: datetime


WalletNumber = Annotated[
    str,
    msgspec.Meta(
        max_length=32,
        description="12 digits, the last two of them check digits; blanks and hyphens are ignored.",
    ),
]


def number(sequence: int) -> str:
    """Return the number of the `sequence`-th wallet: ten digits and two check digits (ISO 7064, MOD 97-10)."""
    body = sequence * NUMBER_STRIDE % 10**NUMBER_BODY_DIGITS
    return f"{body:0{NUMBER_BODY_DIGITS}d}{98 - body * 100 % 97:02d}"


def parse_number(text: str, field: str) -> str:
    """Return the number without blanks and hyphens.

    Raises:
        InvalidField: it is not twelve digits, or the check digits do not match.

    """
    digits = text.replace(" ", "").replace("-", "")
    if len(digits) != NUMBER_DIGITS or not (digits.isascii() and digits.isdigit()):
        raise InvalidField(field, f"a wallet number has {NUMBER_DIGITS} digits")
    if int(digits) % 97 != 1:
        raise InvalidField(field, "the check digits do not match: is there a typing error?")
    return digits


def system_id(role: SystemWallet, currency: str) -> UUID:
    """Return the id of a currency's system wallet: the same in every installation, so that no one looks it up."""
    return uuid5(SYSTEM_NAMESPACE, f"{role}:{currency}")


def openings(batch: Iterable[Claimed]) -> dict[UUID, WalletOpening]:
    return {job.id: msgspec.json.decode(job.payload, type=WalletOpening) for job in batch}
