"""Velocity: how many movements, and how much money, may leave a wallet and its customer in an hour and a day of UTC.

Whoever takes over an account empties it no faster than that. Pure: what has gone out before is given, locked, and the
clock is an argument. Amounts are minor units of the wallet's currency. A customer's are of all their wallets of one
currency: amounts of different currencies make no sum.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.errors import Rejection
from domain.money import CURRENCIES

HOUR_SECONDS = 3_600
DAY_HOURS = 24
AMOUNT_MAX = 10**18  # A thousand times the largest amount: where nothing limits a sum, it ends here and fits a bigint.
OTHERS = ""  # Stands for the currencies that are not named.

Amounts: TypeAlias = Mapping[str, int]  # By currency.
NO_AMOUNTS: Amounts = {}


class Spent(msgspec.Struct, frozen=True, array_like=True):
    """What has gone out until the latest movement, in its hour and in its day."""

    hour: int  # Since 1970.
    hour_count: int
    hour_amount: int
    day_count: int
    day_amount: int


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """What may go out; 0 is no limit."""

    hour_count: int = 0
    day_count: int = 0
    hour_amounts: Amounts = NO_AMOUNTS
    day_amounts: Amounts = NO_AMOUNTS

    @property
    def are_set(self) -> bool:
        return any((self.hour_count, self.day_count, *self.hour_amounts.values(), *self.day_amounts.values()))

    def reject(self, spent: Spent, currency: str) -> Rejection | None:
        """Return why so much may not be spent, or None."""
        if _exceeds(spent.hour_count, self.hour_count) or _exceeds(spent.day_count, self.day_count):
            return Rejection.VELOCITY_COUNT_EXCEEDED
        hour, day = _of(self.hour_amounts, currency), _of(self.day_amounts, currency)
        if _exceeds(spent.hour_amount, hour) or _exceeds(spent.day_amount, day):
            return Rejection.VELOCITY_AMOUNT_EXCEEDED
        return None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    wallet: Caps
    customer: Caps

    @property
    def are_set(self) -> bool:
        return self.wallet.are_set or self.customer.are_set


class CustomerSpent(msgspec.Struct, frozen=True, kw_only=True):
    """What has gone out of a customer's wallets of one currency, where there are several; one wallet says it itself."""

    customer_id: UUID
    currency: str
    spent: Spent | None
    wallet_ids: list[UUID] = []  # Those that a batch spends from.


CustomerKey: TypeAlias = tuple[UUID, str]  # Customer and currency.


class Velocity(msgspec.Struct, kw_only=True):
    """What has gone out, while a batch is being decided."""

    limits: Limits
    hour: int  # Since 1970.
    before: Mapping[CustomerKey, CustomerSpent]
    customers: dict[CustomerKey, CustomerSpent]
    customer_of: Mapping[UUID, CustomerKey]  # By wallet.

    @property
    def changed(self) -> list[CustomerSpent]:
        """The customers who have spent something, as they are now."""
        return [one for key, one in self.customers.items() if one is not self.before[key]]

    def spend(self, wallet_id: UUID, before: Spent | None, currency: str, amount: int) -> Spent | Rejection:
        """Return what has gone out of the wallet once the amount has, too, or why it may not; then nothing is noted."""
        wallet = after(before, self.hour, amount)
        if code := self.limits.wallet.reject(wallet, currency):
            return code
        key = self.customer_of.get(wallet_id)
        if key is None:
            return self.limits.customer.reject(wallet, currency) or wallet
        customer = after(self.customers[key].spent, self.hour, amount)
        if code := self.limits.customer.reject(customer, currency):
            return code
        self.customers[key] = replace(self.customers[key], spent=customer)
        return wallet


def velocity(limits: Limits, now: datetime, customers: list[CustomerSpent]) -> Velocity:
    """Return where a batch begins. `customers` are those who have several wallets of the currency that they spend."""
    keys = {(one.customer_id, one.currency): one for one in customers}
    return Velocity(
        limits=limits,
        hour=int(now.timestamp()) // HOUR_SECONDS,
        before=keys,
        customers=dict(keys),
        customer_of={wallet_id: key for key, one in keys.items() for wallet_id in one.wallet_ids},
    )


def after(spent: Spent | None, hour: int, amount: int) -> Spent:
    """Return what has gone out once the amount has, too.

    Where a clock is behind that of whoever spent before, by less than an hour, it goes to the later hour. A still later
    one is of a clock that was wrong: what was counted then counts now.
    """
    then = hour if spent is None or spent.hour > hour + 1 else spent.hour
    if spent is None or then // DAY_HOURS < hour // DAY_HOURS:
        return Spent(hour, 1, amount, 1, amount)
    day_count, day_amount = spent.day_count + 1, _sum(spent.day_amount, amount)
    if then < hour:
        return Spent(hour, 1, amount, day_count, day_amount)
    return Spent(then, spent.hour_count + 1, _sum(spent.hour_amount, amount), day_count, day_amount)


def parse_amounts(text: str) -> Amounts:
    """Return the amounts that a setting names: `10000000,UGX:40000000` is the first for all currencies but UGX.

    Raises:
        ValueError: saying what is wrong.

    """
    result: dict[str, int] = {}
    for part in text.split(","):
        currency, _, amount = part.strip().rpartition(":")
        if currency != OTHERS and currency not in CURRENCIES:
            raise ValueError(f"{currency} is no currency of ISO 4217")
        if not (amount.isascii() and amount.isdigit()) or int(amount) > AMOUNT_MAX:
            raise ValueError(f"an amount is a number of minor units up to {AMOUNT_MAX}")
        if currency in result:
            raise ValueError(f"there are two amounts for {currency or 'all other currencies'}")
        result[currency] = int(amount)
    return result


def _of(amounts: Amounts, currency: str) -> int:
    return amounts.get(currency, amounts.get(OTHERS, 0))


def _sum(spent: int, amount: int) -> int:
    return min(spent + amount, AMOUNT_MAX)


def _exceeds(value: int, most: int) -> bool:
    return 0 < most < value
