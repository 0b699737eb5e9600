"""The ledger as a child would keep it: a dictionary of purses. It shares no line with the code it judges."""

from collections.abc import Callable, Collection, Iterable, MutableMapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from uuid import UUID

from tests.flows.acknowledged import Acknowledged

BALANCE_MAX = 10**15  # As the settings have it.
# What may leave a wallet, and all of one currency together, in a day that does not end.
WALLET_MOVES_MAX, WALLET_AMOUNT_MAX = 4, 1_000
CUSTOMER_MOVES_MAX, CUSTOMER_AMOUNT_MAX = 7, 1_600


@dataclass
class Owner:
    state: str = "open"


@dataclass
class Purse:
    currency: str
    number: str
    owner: Owner
    is_frozen: bool = False  # The purse itself, whatever is with its owner.
    is_closed: bool = False
    balance: int = 0
    held: int = 0
    lines: list[int] = field(default_factory=list)

    @property
    def state(self) -> str:
        if self.is_closed:
            return "closed"
        return "frozen" if self.is_frozen or self.owner.state == "frozen" else "open"

    @property
    def gone(self) -> list[int]:
        return [-line for line in self.lines if line < 0]

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


# How something ended: why not, if it did not; of a bulk, item by item, or why not and at which item it was given up.
End = str | None | list[str | None] | tuple[str, int]


@dataclass
class Model:
    purses: dict[UUID, Purse] = field(default_factory=dict)
    owners: dict[UUID, Owner] = field(default_factory=dict)

    def move(self, wanted: Move) -> str | None:
        """Do it, or return why not."""
        giver = self.purses.get(wanted.source) if wanted.source else None
        taker = self.purses.get(wanted.destination) if wanted.destination else None
        if code := _refusal(wanted, giver, taker) or (giver and self._haste(giver, wanted.amount)):
            return code
        if giver:
            giver.add(-wanted.amount)
        if taker:
            taker.add(wanted.amount)
        return None

    def bulk(self, wanted: Sequence[Move], *, is_whole: bool) -> End:
        """Do the moves in turn; with `is_whole` all of them, or none when one cannot be done."""
        after = deepcopy(self) if is_whole else self
        codes = []
        for place, one in enumerate(wanted):
            codes.append(after.move(one))
            if is_whole and (code := codes[-1]):
                return code, place
        self.purses, self.owners = after.purses, after.owners
        return codes

    def opening_refusal(self, owner_id: UUID) -> str | None:
        owner = self.owners.get(owner_id)
        if not owner:
            return "customer_not_found"
        return None if owner.state == "open" else f"customer_{owner.state}"

    def change_purse(self, verb: str, purse_id: UUID) -> str | None:
        """Freeze, unfreeze or close a purse, or return why not."""
        purse = self.purses.get(purse_id)
        if not purse:
            return "wallet_not_found"
        if verb == "close":
            if purse.balance or purse.held:
                return "balance_not_zero"
            purse.is_closed = True
            return None
        if purse.is_closed:
            return "wallet_closed"
        if verb == "unfreeze" and purse.owner.state == "frozen":
            return "customer_frozen"
        purse.is_frozen = verb == "freeze"
        return None

    def change_owner(self, verb: str, owner_id: UUID) -> str | None:
        """Freeze, unfreeze or close an owner, or return why not."""
        owner = self.owners.get(owner_id)
        if not owner:
            return "customer_not_found"
        if verb == "close":
            if any(purse.owner is owner and not purse.is_closed for purse in self.purses.values()):
                return "wallets_not_closed"
            owner.state = "closed"
            return None
        if owner.state == "closed":
            return "customer_closed"
        owner.state = "frozen" if verb == "freeze" else "open"
        return None

    def _haste(self, giver: Purse, amount: int) -> str | None:
        """Return which limit more from this purse would break: its own, then that of its owner in its currency."""
        owners = [purse for purse in self.purses.values() if purse.owner is giver.owner]
        alike = [purse for purse in owners if purse.currency == giver.currency]
        limits = [(giver.gone, WALLET_MOVES_MAX, WALLET_AMOUNT_MAX)]
        limits.append(([line for purse in alike for line in purse.gone], CUSTOMER_MOVES_MAX, CUSTOMER_AMOUNT_MAX))
        for gone, moves_max, amount_max in limits:
            if len(gone) + 1 > moves_max:
                return "velocity_count_exceeded"
            if sum(gone) + amount > amount_max:
                return "velocity_amount_exceeded"
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


Act = Callable[[Model], End]  # Something done to a model.


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
