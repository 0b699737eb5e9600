"""Freezing, unfreezing and closing: what an operator may do to a wallet or a customer, and what follows from it.

Pure: wallets and customers are given, locked. What is as it was asked to be is a success that changes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.actions import Action, NewAction
from domain.customers import CustomerState
from domain.errors import Rejection
from domain.jobs import CallbackUrl, Claimed, Kind, Outcome, rejected, succeeded
from domain.wallets import WalletState

REASON_MAX = 500  # A sentence or two, and the number of a case elsewhere; the log of actions keeps it for good.
Reason = Annotated[
    str, msgspec.Meta(min_length=1, max_length=REASON_MAX, description="Why; the log of operators' actions keeps it.")
]


class Verb(StrEnum):
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    CLOSE = "close"


KINDS = tuple(Kind(f"{noun}.{verb}") for noun in ("customer", "wallet") for verb in Verb)  # Of the jobs that do it.
AFTER: Mapping[Verb, str] = {Verb.FREEZE: "frozen", Verb.UNFREEZE: "open", Verb.CLOSE: "closed"}


class ChangeState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a wallet or customer is frozen, unfrozen or closed."""

    reason: Reason | None = None
    callback_url: CallbackUrl | None = None


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of all six kinds; `id` is of the wallet or the customer."""

    id: UUID
    reason: str | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A job's change."""

    job_id: UUID
    kind: Kind
    id: UUID
    reason: str | None
    caller: str

    @property
    def verb(self) -> Verb:
        return Verb(self.kind.partition(".")[2])


class StatedWallet(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet whose row is locked. Amounts in minor units."""

    id: UUID
    customer_id: UUID
    state: WalletState
    frozen_alone: bool  # By an operator who froze this wallet, and not only with its customer.
    balance: int
    held: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """How the jobs ended, what there is to record, and how wallets and customers stand now."""

    outcomes: list[Outcome]
    done: list[NewAction]
    wallets: dict[UUID, StatedWallet]
    customers: dict[UUID, CustomerState]


def refuse_opening(customer: CustomerState | None) -> Rejection | None:
    """Return why a customer in this state, or nobody, gets no wallet."""
    if customer is None:
        return Rejection.CUSTOMER_NOT_FOUND
    return {
        CustomerState.CLOSED: Rejection.CUSTOMER_CLOSED,
        CustomerState.FROZEN: Rejection.CUSTOMER_FROZEN,
    }.get(customer)


def changes(batch: Iterable[Claimed]) -> list[Change]:
    return [_change(job) for job in batch]


def _change(job: Claimed) -> Change:
    said = msgspec.json.decode(job.payload, type=StateChange)
    return Change(job_id=job.id, kind=job.kind, id=said.id, reason=said.reason, caller=job.caller)


def _action(change: Change, state: str) -> NewAction:
    details = {"state": state} if change.reason is None else {"reason": change.reason, "state": state}
    return NewAction(
        actor=change.caller,
        action=Action(change.kind),
        object=str(change.id),
        details=details,
        job_id=change.job_id,
    )


def change_wallets(
    changes: Iterable[Change], wallets: Mapping[UUID, StatedWallet], customers: Mapping[UUID, CustomerState]
) -> Decision:
    """Decide the changes of wallets in turn; `customers` are theirs."""
    decision = Decision(outcomes=[], done=[], wallets=dict(wallets), customers=dict(customers))
    for one in changes:
        if code := reject_wallet_change(one.verb, decision.wallets.get(one.id), customers):
            decision.outcomes.append(rejected(one.job_id, code))
            continue
        state = WalletState(AFTER[one.verb])
        decision.wallets[one.id] = replace(decision.wallets[one.id], state=state, frozen_alone=one.verb is Verb.FREEZE)
        decision.outcomes.append(succeeded(one.job_id, wallet_id=one.id, state=state))
        decision.done.append(_action(one, state))
    return decision


def reject_wallet_change(
    verb: Verb, wallet: StatedWallet | None, customers: Mapping[UUID, CustomerState]
) -> Rejection | None:
    """Return the first rule that forbids the change, or None."""
    if wallet is None:
        return Rejection.WALLET_NOT_FOUND
    if verb is Verb.CLOSE:
        return Rejection.BALANCE_NOT_ZERO if wallet.balance or wallet.held else None
    if wallet.state is WalletState.CLOSED:
        return Rejection.WALLET_CLOSED
    if verb is Verb.UNFREEZE and customers[wallet.customer_id] is CustomerState.FROZEN:
        return Rejection.CUSTOMER_FROZEN
    return None


def change_customers(
    changes: Iterable[Change], customers: Mapping[UUID, CustomerState], wallets: Mapping[UUID, StatedWallet]
) -> Decision:
    """Decide the changes of customers in turn, and of their wallets, which are all of `wallets`, with them."""
    decision = Decision(outcomes=[], done=[], wallets=dict(wallets), customers=dict(customers))
    by_customer = defaultdict(list)
    for wallet in wallets.values():
        by_customer[wallet.customer_id].append(wallet.id)
    for one in changes:
        owned = [decision.wallets[wallet_id] for wallet_id in by_customer[one.id]]
        if code := reject_customer_change(one.verb, decision.customers.get(one.id), owned):
            decision.outcomes.append(rejected(one.job_id, code))
            continue
        state = CustomerState(AFTER[one.verb])
        decision.customers[one.id] = state
        decision.wallets.update({wallet.id: following(wallet, state) for wallet in owned})
        decision.outcomes.append(succeeded(one.job_id, customer_id=one.id, state=state))
        decision.done.append(_action(one, state))
    return decision


def reject_customer_change(
    verb: Verb, state: CustomerState | None, wallets: Iterable[StatedWallet]
) -> Rejection | None:
    """Return the first rule that forbids the change, or None."""
    if state is None:
        return Rejection.CUSTOMER_NOT_FOUND
    if verb is Verb.CLOSE:
        is_free = all(wallet.state is WalletState.CLOSED for wallet in wallets)
        return None if is_free else Rejection.WALLETS_NOT_CLOSED
    return Rejection.CUSTOMER_CLOSED if state is CustomerState.CLOSED else None


def following(wallet: StatedWallet, customer: CustomerState) -> StatedWallet:
    """Return the wallet as its customer's state leaves it: one that was frozen alone stays so."""
    if customer is CustomerState.FROZEN and wallet.state is WalletState.OPEN:
        return replace(wallet, state=WalletState.FROZEN)
    if customer is CustomerState.OPEN and wallet.state is WalletState.FROZEN and not wallet.frozen_alone:
        return replace(wallet, state=WalletState.OPEN)
    return wallet
