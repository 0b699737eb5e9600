"""The ledger as a child would keep it: a dictionary of purses. It shares no line with the code it judges."""

from collections.abc import Collection, Iterable, MutableMapping
from dataclasses import dataclass, field
from uuid import UUID

from tests.flows.acknowledged import Acknowledged

BALANCE_MAX = 10**15  # As the settings have it.


@dataclass
class Purse:
    currency: str
    number: str
    state: str = "open"
    balance: int = 0
    held: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, amount: int) -> None:
        self.balance += amount
        self.lines.append(amount)


@dataclass(frozen=True)
class Move:
    """`source` None is a deposit, `destination` None a withdrawal."""

    source: UUID | None
    destination: UUID | None
    amount: int
    currency: str


@dataclass
class Model:
    purses: dict[UUID, Purse] = field(default_factory=dict)

    def move(self, wanted: Move) -> str | None:
        """Do it, or return why not."""
        giver = self.purses.get(wanted.source) if wanted.source else None
        taker = self.purses.get(wanted.destination) if wanted.destination else None
        if code := _refusal(wanted, giver, taker):
            return code
        if giver:
            giver.add(-wanted.amount)
        if taker:
            taker.add(wanted.amount)
        return None


def _refusal(wanted: Move, giver: Purse | None, taker: Purse | None) -> str | None:
    """Return the first of the rules, in the contract's order, that is broken."""
    there = [purse for purse in (giver, taker) if purse]
    rules = [
        ("source_not_found", wanted.source and not giver),
        ("destination_not_found", wanted.destination and not taker),
        ("same_wallet", giver is taker),
        ("source_closed", giver and giver.state == "closed"),
        ("destination_closed", taker and taker.state == "closed"),
        ("source_frozen", giver and giver.state == "frozen"),
        ("destination_frozen", taker and taker.state == "frozen"),
        ("currency_mismatch", any(purse.currency != wanted.currency for purse in there)),
        ("insufficient_funds", giver and giver.balance - giver.held < wanted.amount),
        ("balance_limit_exceeded", taker and taker.balance + wanted.amount > BALANCE_MAX),
    ]
    return next((code for code, is_broken in rules if is_broken), None)


# From which wallet of a request to which its money goes.
SIDES = {
    "/v1/deposits": ("", "wallet_id"),
    "/v1/withdrawals": ("wallet_id", ""),
    "/v1/transfers": ("source_wallet_id", "destination_wallet_id"),
}


def replay(
    balances: MutableMapping[str, int], acknowledged: Iterable[Acknowledged], succeeded: Collection[str]
) -> None:
    """Add to the balances what the acknowledged movements that succeeded come to, each of them once."""
    for one in {one.job_id: one for one in acknowledged if one.job_id in succeeded}.values():
        giver, taker = (one.body.get(side) for side in SIDES.get(one.path, ("", "")))
        if giver:
            balances[giver] -= one.body["amount"]
        if taker:
            balances[taker] += one.body["amount"]
