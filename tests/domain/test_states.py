"""What may become of wallets and customers: a row for each rule, in the order of precedence."""

from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

from domain.actions import Action, NewAction
from domain.customers import CustomerState
from domain.jobs import Kind, Outcome
from domain.states import (
    AFTER,
    REASON_MAX,
    Change,
    ChangeState,
    StateChange,
    StatedWallet,
    Verb,
    change_customers,
    change_wallets,
    changes,
    refuse_opening,
)
from domain.wallets import WalletState
from tests import made

CUSTOMER, WALLET = UUID(int=1), UUID(int=2)
OPEN, FROZEN, CLOSED = WalletState.OPEN, WalletState.FROZEN, WalletState.CLOSED


def wallet(state: WalletState = OPEN, *, alone: bool = False, balance: int = 0, held: int = 0) -> StatedWallet:
    return StatedWallet(id=WALLET, customer_id=CUSTOMER, state=state, frozen_alone=alone, balance=balance, held=held)


def change(verb: Verb, id_: UUID = WALLET) -> Change:
    kind = Kind(f"{'wallet' if id_ == WALLET else 'customer'}.{verb}")
    return Change(job_id=uuid7(), kind=kind, id=id_, reason="why", caller=made.CALLER)


def end(outcome: Outcome) -> str:
    """Return the state that a change led to, or the rejection's code."""
    return str(outcome.error.code if outcome.error else (outcome.result or {})["state"])


# Verb, wallet, its customer; how it ends.
OF_WALLETS = [
    (Verb.FREEZE, None, "open", "wallet_not_found"),
    (Verb.UNFREEZE, None, "open", "wallet_not_found"),
    (Verb.CLOSE, None, "open", "wallet_not_found"),
    (Verb.FREEZE, wallet(CLOSED), "open", "wallet_closed"),
    (Verb.UNFREEZE, wallet(CLOSED), "open", "wallet_closed"),
    (Verb.UNFREEZE, wallet(CLOSED), "frozen", "wallet_closed"),
    (Verb.UNFREEZE, wallet(FROZEN), "frozen", "customer_frozen"),
    (Verb.UNFREEZE, wallet(FROZEN, alone=True), "frozen", "customer_frozen"),
    (Verb.CLOSE, wallet(balance=1), "open", "balance_not_zero"),
    (Verb.CLOSE, wallet(balance=-1), "open", "balance_not_zero"),
    (Verb.CLOSE, wallet(held=1), "open", "balance_not_zero"),
    (Verb.CLOSE, wallet(FROZEN, alone=True, balance=1), "open", "balance_not_zero"),
    (Verb.FREEZE, wallet(balance=1, held=1), "open", "frozen"),
    (Verb.FREEZE, wallet(FROZEN, alone=True), "open", "frozen"),
    (Verb.FREEZE, wallet(FROZEN), "frozen", "frozen"),
    (Verb.UNFREEZE, wallet(FROZEN, alone=True), "open", "open"),
    (Verb.UNFREEZE, wallet(), "open", "open"),
    (Verb.CLOSE, wallet(), "open", "closed"),
    (Verb.CLOSE, wallet(FROZEN), "frozen", "closed"),
    (Verb.CLOSE, wallet(FROZEN, alone=True), "open", "closed"),
    (Verb.CLOSE, wallet(CLOSED), "closed", "closed"),
]


@pytest.mark.parametrize(("verb", "before", "customer", "expected"), OF_WALLETS)
def test_a_wallet_changes_as_the_rules_say(
    verb: Verb, before: StatedWallet | None, customer: str, expected: str
) -> None:
    wallets = {} if before is None else {before.id: before}
    decision = change_wallets([change(verb)], wallets, {CUSTOMER: CustomerState(customer)})

    assert [end(one) for one in decision.outcomes] == [expected]
    is_done = expected in AFTER.values()
    assert len(decision.done) == is_done
    after = decision.wallets.get(WALLET)
    changed = (
        before and msgspec.structs.replace(before, state=WalletState(expected), frozen_alone=expected == "frozen")
        if is_done
        else before
    )
    assert after == changed


# Verb, customer, their wallet; how it ends, and how the wallet stands then.
OF_CUSTOMERS: list[tuple[Verb, str | None, StatedWallet | None, str, StatedWallet | None]] = [
    (Verb.FREEZE, None, None, "customer_not_found", None),
    (Verb.UNFREEZE, None, None, "customer_not_found", None),
    (Verb.CLOSE, None, None, "customer_not_found", None),
    (Verb.FREEZE, "closed", wallet(CLOSED), "customer_closed", wallet(CLOSED)),
    (Verb.UNFREEZE, "closed", wallet(CLOSED), "customer_closed", wallet(CLOSED)),
    (Verb.CLOSE, "open", wallet(), "wallets_not_closed", wallet()),
    (Verb.CLOSE, "frozen", wallet(FROZEN), "wallets_not_closed", wallet(FROZEN)),
    (Verb.FREEZE, "open", None, "frozen", None),
    (Verb.FREEZE, "open", wallet(balance=5), "frozen", wallet(FROZEN, balance=5)),
    (Verb.FREEZE, "open", wallet(FROZEN, alone=True), "frozen", wallet(FROZEN, alone=True)),
    (Verb.FREEZE, "open", wallet(CLOSED), "frozen", wallet(CLOSED)),
    (Verb.FREEZE, "frozen", wallet(FROZEN), "frozen", wallet(FROZEN)),
    (Verb.UNFREEZE, "frozen", wallet(FROZEN), "open", wallet()),
    (Verb.UNFREEZE, "frozen", wallet(FROZEN, alone=True), "open", wallet(FROZEN, alone=True)),
    (Verb.UNFREEZE, "frozen", wallet(CLOSED), "open", wallet(CLOSED)),
    (Verb.UNFREEZE, "open", wallet(), "open", wallet()),
    (Verb.CLOSE, "open", None, "closed", None),
    (Verb.CLOSE, "open", wallet(CLOSED), "closed", wallet(CLOSED)),
    (Verb.CLOSE, "frozen", wallet(CLOSED), "closed", wallet(CLOSED)),
    (Verb.CLOSE, "closed", wallet(CLOSED), "closed", wallet(CLOSED)),
]


@pytest.mark.parametrize("row", OF_CUSTOMERS)
def test_a_customer_changes_as_the_rules_say_and_their_wallets_follow(
    row: tuple[Verb, str | None, StatedWallet | None, str, StatedWallet | None],
) -> None:
    verb, customer, before, expected, after = row
    customers = {} if customer is None else {CUSTOMER: CustomerState(customer)}
    wallets = {} if before is None else {before.id: before}

    decision = change_customers([change(verb, CUSTOMER)], customers, wallets)

    assert [end(one) for one in decision.outcomes] == [expected]
    assert decision.wallets.get(WALLET) == after
    state = CustomerState(expected) if expected in AFTER.values() else customers.get(CUSTOMER)
    assert decision.customers.get(CUSTOMER) == state


def test_changes_of_a_batch_are_decided_in_turn() -> None:
    verbs = [Verb.FREEZE, Verb.UNFREEZE, Verb.CLOSE, Verb.FREEZE]
    decision = change_wallets(map(change, verbs), {WALLET: wallet()}, {CUSTOMER: CustomerState.OPEN})
    assert [end(one) for one in decision.outcomes] == ["frozen", "open", "closed", "wallet_closed"]
    assert [one.action for one in decision.done] == ["wallet.freeze", "wallet.unfreeze", "wallet.close"]


def test_what_was_done_is_recorded_with_its_job_and_its_reason() -> None:
    one, customers = change(Verb.FREEZE, CUSTOMER), {CUSTOMER: CustomerState.OPEN}
    [done] = change_customers([one], customers, {}).done
    assert done == NewAction(
        actor=made.CALLER,
        action=Action.CUSTOMER_FREEZE,
        object=str(CUSTOMER),
        details={"reason": "why", "state": "frozen"},
        job_id=one.job_id,
    )


def test_a_customers_freeze_leaves_other_customers_wallets_alone() -> None:
    other = msgspec.structs.replace(wallet(), id=UUID(int=3), customer_id=UUID(int=4))
    decision = change_customers(
        [change(Verb.FREEZE, CUSTOMER)], {CUSTOMER: CustomerState.OPEN}, {WALLET: wallet(), other.id: other}
    )
    assert [one.state for one in decision.wallets.values()] == [FROZEN, OPEN]


@pytest.mark.parametrize(
    ("customer", "code"),
    [
        (None, "customer_not_found"),
        (CustomerState.CLOSED, "customer_closed"),
        (CustomerState.FROZEN, "customer_frozen"),
        (CustomerState.OPEN, None),
    ],
)
def test_only_an_open_customer_gets_a_wallet(customer: CustomerState | None, code: str | None) -> None:
    assert refuse_opening(customer) == code


@pytest.mark.parametrize("kind", [f"{noun}.{verb}" for noun in ("wallet", "customer") for verb in Verb])
def test_a_jobs_kind_says_what_is_to_be_done(kind: str) -> None:
    [one] = changes([made.claimed(Kind(kind), StateChange(id=WALLET, reason="why"))])
    assert (f"{kind.partition('.')[0]}.{one.verb}", one.id, one.reason) == (kind, WALLET, "why")


@pytest.mark.parametrize("reason", ["", "x" * (REASON_MAX + 1), 5])
def test_a_reason_is_bounded(reason: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode({"reason": reason}), type=ChangeState)
