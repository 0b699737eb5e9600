"""The ledger decides and writes; it never reads a clock, a row or a random number."""

from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.errors import Rejection
from domain.jobs import JobState, Kind
from domain.ledger import NO_SEAL, SEAL_BYTES, Settlement, entry_seal, reject, settle, transaction_seal
from domain.transactions import Movement, TransactionKind
from domain.wallets import LockedWallet, SystemWallet, WalletState, system_id
from tests.made import POSTED_AT, SEAL_KEY, claimed, locked

A, B, C = (UUID(int=number) for number in (1, 2, 3))
OPEN, FROZEN, CLOSED = WalletState.OPEN, WalletState.FROZEN, WalletState.CLOSED
SAME = "the source itself"
LOW = 100  # What the source of the table below holds; its destination has room for half of it.

TOO_MUCH, STRANGE = (2 * LOW, "RWF"), (2 * LOW, "EUR")

# Each row breaks its own rule and every later one that can still be broken, so that the order shows.
# Columns: code, state of the source (None: no such wallet), of the destination, what is asked for.
PRECEDENCE = [
    (Rejection.SOURCE_NOT_FOUND, None, None, STRANGE),
    (Rejection.DESTINATION_NOT_FOUND, CLOSED, None, STRANGE),
    (Rejection.SAME_WALLET, CLOSED, SAME, STRANGE),
    (Rejection.SOURCE_CLOSED, CLOSED, CLOSED, STRANGE),
    (Rejection.DESTINATION_CLOSED, FROZEN, CLOSED, STRANGE),
    (Rejection.SOURCE_FROZEN, FROZEN, FROZEN, STRANGE),
    (Rejection.DESTINATION_FROZEN, OPEN, FROZEN, STRANGE),
    (Rejection.CURRENCY_MISMATCH, OPEN, OPEN, STRANGE),
    (Rejection.INSUFFICIENT_FUNDS, OPEN, OPEN, TOO_MUCH),
    (Rejection.BALANCE_LIMIT_EXCEEDED, OPEN, OPEN, (LOW // 2 + 1, "RWF")),
    (None, OPEN, OPEN, (LOW // 2, "RWF")),
]


@pytest.mark.parametrize(("code", "source", "destination", "asked"), PRECEDENCE)
def test_the_first_rule_that_is_broken_says_why_a_transfer_is_refused(
    code: Rejection | None, source: WalletState | None, destination: WalletState | str | None, asked: tuple[int, str]
) -> None:
    books = {}
    if source is not None:
        books[A] = locked(A, state=source, balance=LOW, balance_max=LOW)
    if isinstance(destination, WalletState):
        books[B] = locked(B, state=destination, balance_max=LOW // 2)
    receiver = A if source is None or destination == SAME else B
    amount, currency = asked
    movement = Movement(amount=amount, currency=currency, source_wallet_id=A, destination_wallet_id=receiver)
    assert reject(TransactionKind.TRANSFER, movement, books) == code


def test_the_table_of_precedence_is_the_order_of_the_contract() -> None:
    codes = [row[0] for row in PRECEDENCE[:-1]]
    assert codes == list(Rejection)[: len(codes)]


DEPOSIT = Movement(amount=5_00, currency="RWF", destination_wallet_id=A)
WITHDRAWAL = Movement(amount=5_00, currency="RWF", source_wallet_id=A)
TRANSFER = Movement(amount=5_00, currency="RWF", source_wallet_id=A, destination_wallet_id=B)


@pytest.mark.parametrize(
    ("movement", "wallet", "code"),
    [
        (DEPOSIT, None, Rejection.DESTINATION_NOT_FOUND),
        (DEPOSIT, locked(A, state=CLOSED), Rejection.DESTINATION_CLOSED),
        (DEPOSIT, locked(A, state=FROZEN), Rejection.DESTINATION_FROZEN),
        (DEPOSIT, locked(A, currency="USD"), Rejection.CURRENCY_MISMATCH),
        (DEPOSIT, locked(A, balance=1, balance_max=5_00), Rejection.BALANCE_LIMIT_EXCEEDED),
        (DEPOSIT, locked(A, balance_max=5_00), None),
        (WITHDRAWAL, None, Rejection.SOURCE_NOT_FOUND),
        (WITHDRAWAL, locked(A, balance=5_00, state=CLOSED), Rejection.SOURCE_CLOSED),
        (WITHDRAWAL, locked(A, balance=5_00, state=FROZEN), Rejection.SOURCE_FROZEN),
        (WITHDRAWAL, locked(A, balance=5_00, currency="USD"), Rejection.CURRENCY_MISMATCH),
        (WITHDRAWAL, locked(A, balance=4_99), Rejection.INSUFFICIENT_FUNDS),
        (WITHDRAWAL, locked(A, balance=5_00, held=1), Rejection.INSUFFICIENT_FUNDS),
        (WITHDRAWAL, locked(A, balance=5_00, balance_min=1), Rejection.INSUFFICIENT_FUNDS),
        (WITHDRAWAL, locked(A, balance=4_00, balance_min=-1_00), None),
        (WITHDRAWAL, locked(A, balance=5_01, held=1), None),
    ],
)
def test_a_movement_with_one_side_is_judged_by_that_side(
    movement: Movement, wallet: LockedWallet | None, code: Rejection | None
) -> None:
    kind = TransactionKind.DEPOSIT if movement is DEPOSIT else TransactionKind.WITHDRAWAL
    assert reject(kind, movement, {} if wallet is None else {A: wallet}) == code


@pytest.mark.parametrize("stranger", [A, B])
def test_either_wallet_in_another_currency_forbids_a_transfer(stranger: UUID) -> None:
    books = {A: locked(A, balance=9_00), B: locked(B)}
    books[stranger] = replace(books[stranger], currency="USD")
    assert reject(TransactionKind.TRANSFER, TRANSFER, books) is Rejection.CURRENCY_MISMATCH


@pytest.mark.parametrize(
    ("kind", "movement", "expected"),
    [
        (Kind.DEPOSIT_CREATE, DEPOSIT, {system_id(SystemWallet.CASH_IN, "RWF"): -5_00, A: 5_00}),
        (Kind.WITHDRAWAL_CREATE, WITHDRAWAL, {A: -5_00, system_id(SystemWallet.CASH_OUT, "RWF"): 5_00}),
        (Kind.TRANSFER_CREATE, TRANSFER, {A: -5_00, B: 5_00}),
    ],
)
def test_each_kind_takes_from_its_source_and_gives_to_its_destination(
    kind: Kind, movement: Movement, expected: dict[UUID, int]
) -> None:
    settlement = settled([(kind, movement)], {A: locked(A, balance=9_00), B: locked(B)})
    assert {entry.wallet_id: entry.amount for entry in settlement.entries} == expected
    assert sum(entry.amount for entry in settlement.entries) == 0


def test_a_batch_spends_what_its_earlier_jobs_brought_and_not_more() -> None:
    batch = [(Kind.DEPOSIT_CREATE, DEPOSIT), (Kind.TRANSFER_CREATE, TRANSFER), (Kind.WITHDRAWAL_CREATE, WITHDRAWAL)]
    settlement = settled(batch, {A: locked(A), B: locked(B)})
    states = [outcome.state for outcome in settlement.outcomes]
    assert states == [JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.REJECTED]
    assert {wallet.id: wallet.balance for wallet in settlement.wallets} == {A: 0, B: 5_00}


def test_entries_carry_the_next_sequence_and_the_balance_after_them() -> None:
    batch = [(Kind.DEPOSIT_CREATE, DEPOSIT), (Kind.WITHDRAWAL_CREATE, WITHDRAWAL), (Kind.DEPOSIT_CREATE, DEPOSIT)]
    settlement = settled(batch, {A: locked(A, balance=1_00, sequence=7)})
    lines = [(entry.sequence, entry.balance_after) for entry in settlement.entries if entry.wallet_id == A]
    assert lines == [(8, 6_00), (9, 1_00), (10, 6_00)]


def test_a_system_wallets_entry_has_no_sequence_and_no_balance() -> None:
    settlement = settled([(Kind.DEPOSIT_CREATE, DEPOSIT)], {A: locked(A)})
    entry = next(entry for entry in settlement.entries if entry.wallet_id != A)
    assert (entry.sequence, entry.balance_after) == (None, None)
    assert [wallet.id for wallet in settlement.wallets] == [A]


def test_a_rejected_job_leaves_nothing_but_its_outcome() -> None:
    settlement = settled([(Kind.WITHDRAWAL_CREATE, WITHDRAWAL)], {A: locked(A)})
    assert (settlement.postings, settlement.entries, settlement.wallets) == ([], [], [])
    assert [outcome.error.code for outcome in settlement.outcomes if outcome.error] == ["insufficient_funds"]


def test_a_success_names_its_transaction_which_has_the_jobs_id() -> None:
    job = claimed(Kind.DEPOSIT_CREATE, DEPOSIT)
    settlement = settle([job], {job.id: DEPOSIT}, {A: locked(A)}, posted_at=POSTED_AT, seal_key=SEAL_KEY)
    assert settlement.outcomes[0].result == {"transaction_id": job.id}
    assert settlement.postings[0].id == job.id


def test_the_given_wallets_stay_as_they_were_and_the_same_question_has_the_same_answer() -> None:
    wallets = {A: locked(A, balance=9_00), B: locked(B)}
    job = claimed(Kind.TRANSFER_CREATE, TRANSFER)
    answers = [settle([job], {job.id: TRANSFER}, wallets, posted_at=POSTED_AT, seal_key=SEAL_KEY) for _ in range(2)]
    assert answers[0] == answers[1]
    assert wallets == {A: locked(A, balance=9_00), B: locked(B)}


SAID = Movement(
    amount=5_00,
    currency="RWF",
    source_wallet_id=A,
    destination_wallet_id=B,
    description="rent",
    external_reference="r-1",
    metadata={"month": "may", "flat": "3"},
)


def test_every_part_of_a_transaction_changes_its_seal() -> None:
    key = SEAL_KEY
    plain = transaction_seal(key, C, "transfer", SAID, posted_at=POSTED_AT)
    others = [
        transaction_seal(key + b"x", C, "transfer", SAID, posted_at=POSTED_AT),
        transaction_seal(key, A, "transfer", SAID, posted_at=POSTED_AT),
        transaction_seal(key, C, "deposit", SAID, posted_at=POSTED_AT),
        transaction_seal(key, C, "transfer", SAID, posted_at=POSTED_AT + timedelta(microseconds=1)),
        *(transaction_seal(key, C, "transfer", changed, posted_at=POSTED_AT) for changed in changed_movements()),
    ]
    assert len(plain) == SEAL_BYTES
    assert len({plain, *others}) == len(others) + 1


def changed_movements() -> list[Movement]:
    return [
        replace(SAID, amount=5_01),
        replace(SAID, currency="USD"),
        replace(SAID, source_wallet_id=C),
        replace(SAID, destination_wallet_id=C),
        replace(SAID, source_wallet_id=B, destination_wallet_id=A),
        replace(SAID, description="renu"),
        replace(SAID, description=None),
        replace(SAID, description=None, external_reference="rent"),
        replace(SAID, external_reference="r-2"),
        replace(SAID, metadata={"month": "may", "flat": "4"}),
        replace(SAID, metadata={"month": "may"}),
        replace(SAID, metadata=None),
    ]


def test_the_order_of_metadata_means_nothing_to_the_seal() -> None:
    turned = replace(SAID, metadata={"flat": "3", "month": "may"})
    seals = {transaction_seal(SEAL_KEY, C, "transfer", one, posted_at=POSTED_AT) for one in (SAID, turned)}
    assert len(seals) == 1


def test_every_part_of_an_entry_and_all_before_it_changes_its_seal() -> None:
    seals = {
        entry_seal(SEAL_KEY, NO_SEAL, b"t", (A, 1, 5_00, 5_00)),
        entry_seal(SEAL_KEY + b"x", NO_SEAL, b"t", (A, 1, 5_00, 5_00)),
        entry_seal(SEAL_KEY, b"previous", b"t", (A, 1, 5_00, 5_00)),
        entry_seal(SEAL_KEY, NO_SEAL, b"u", (A, 1, 5_00, 5_00)),
        entry_seal(SEAL_KEY, NO_SEAL, b"t", (B, 1, 5_00, 5_00)),
        entry_seal(SEAL_KEY, NO_SEAL, b"t", (A, 2, 5_00, 5_00)),
        entry_seal(SEAL_KEY, NO_SEAL, b"t", (A, 1, 5_01, 5_00)),
        entry_seal(SEAL_KEY, NO_SEAL, b"t", (A, 1, 5_00, 5_01)),
        entry_seal(SEAL_KEY, NO_SEAL, b"t", (A, None, 5_00, None)),
    }
    assert len(seals) == 9


def test_each_entry_is_sealed_on_top_of_the_wallets_entry_before_it() -> None:
    batch = [(Kind.DEPOSIT_CREATE, DEPOSIT)] * 2
    settlement = settled(batch, {A: locked(A, seal=b"earlier")})
    first, second = (entry for entry in settlement.entries if entry.wallet_id == A)
    sealed = [posting.seal for posting in settlement.postings]
    assert first.seal == entry_seal(SEAL_KEY, b"earlier", sealed[0], (A, 1, 5_00, 5_00))
    assert second.seal == entry_seal(SEAL_KEY, first.seal, sealed[1], (A, 2, 5_00, 10_00))
    assert settlement.wallets[0].seal == second.seal


def settled(batch: list[tuple[Kind, Movement]], wallets: dict[UUID, LockedWallet]) -> Settlement:
    jobs = [claimed(kind, movement) for kind, movement in batch]
    movements = {job.id: movement for job, (_, movement) in zip(jobs, batch, strict=True)}
    return settle(jobs, movements, wallets, posted_at=POSTED_AT, seal_key=SEAL_KEY)
