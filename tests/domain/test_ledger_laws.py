"""What holds after any batch whatever: money is conserved, bounded, numbered and chained."""

from collections import Counter, defaultdict
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.jobs import Claimed, JobState, Kind
from domain.ledger import Entry, Settlement, entry_seal, settle
from domain.transactions import Movement
from domain.wallets import LockedWallet, WalletState
from tests.made import POSTED_AT, SEAL_KEY, claimed, locked

Batch = list[tuple[Kind, Movement]]
Books = dict[UUID, LockedWallet]

WALLETS = [UUID(int=number) for number in range(1, 5)]
sides = st.sampled_from([*WALLETS, UUID(int=9)])  # Nobody has opened the last one.
amounts = st.integers(1, 150) | st.integers(1, 10**15)
currencies = st.sampled_from(["RWF", "RWF", "RWF", "USD"])

deposits = st.builds(Movement, amount=amounts, currency=currencies, destination_wallet_id=sides)
withdrawals = st.builds(Movement, amount=amounts, currency=currencies, source_wallet_id=sides)
transfers = st.builds(
    Movement, amount=amounts, currency=currencies, source_wallet_id=sides, destination_wallet_id=sides
)
batches = st.lists(
    st.tuples(st.just(Kind.DEPOSIT_CREATE), deposits)
    | st.tuples(st.just(Kind.WITHDRAWAL_CREATE), withdrawals)
    | st.tuples(st.just(Kind.TRANSFER_CREATE), transfers),
    max_size=30,
)


@st.composite
def books(draw: st.DrawFn) -> Books:
    """Draw wallets that keep their own bounds, some of them with debts allowed, holds, or not open."""
    result = {}
    for wallet_id in WALLETS:
        balance_min = draw(st.sampled_from([0, 0, -100]))
        balance = draw(st.integers(balance_min, 300))
        result[wallet_id] = locked(
            wallet_id,
            currency=draw(currencies),
            state=draw(st.sampled_from([WalletState.OPEN] * 4 + [WalletState.FROZEN, WalletState.CLOSED])),
            balance=balance,
            held=draw(st.integers(0, balance - balance_min)),
            balance_min=balance_min,
            balance_max=draw(st.sampled_from([300, 10**15])),
            sequence=draw(st.integers(0, 9)),
            seal=draw(st.binary(max_size=4)),
        )
    return result


any_batch = given(batch=batches, before=books())
often = settings(max_examples=150, deadline=None)


@often
@any_batch
def test_money_only_enters_by_deposits_and_leaves_by_withdrawals(batch: Batch, before: Books) -> None:
    settlement = settled(batch, before)
    expected: Counter[str] = Counter()
    for posting in settlement.postings:
        sign = {"deposit": 1, "withdrawal": -1, "transfer": 0}[posting.kind]
        expected[posting.movement.currency] += sign * posting.movement.amount
    held, held_before = by_currency(after(before, settlement)), by_currency(before)
    assert {code: held[code] - held_before[code] for code in ("RWF", "USD")} == {
        code: expected[code] for code in ("RWF", "USD")
    }


@often
@any_batch
def test_every_transaction_has_two_entries_that_sum_to_zero(batch: Batch, before: Books) -> None:
    settlement = settled(batch, before)
    entries: dict[UUID, list[int]] = defaultdict(list)
    for entry in settlement.entries:
        entries[entry.transaction_id].append(entry.amount)
    assert {posting.id: [-posting.movement.amount, posting.movement.amount] for posting in settlement.postings} == {
        transaction_id: sorted(lines) for transaction_id, lines in entries.items()
    }


@often
@any_batch
def test_no_wallet_leaves_its_bounds_and_no_hold_is_spent(batch: Batch, before: Books) -> None:
    for wallet in settled(batch, before).wallets:
        assert wallet.balance_min <= wallet.balance - wallet.held
        assert wallet.balance <= wallet.balance_max


@often
@any_batch
def test_only_open_wallets_of_the_movements_currency_change(batch: Batch, before: Books) -> None:
    for posting in settled(batch, before).postings:
        named = {posting.movement.source_wallet_id, posting.movement.destination_wallet_id} - {None}
        touched = [wallet for wallet_id, wallet in before.items() if wallet_id in named]
        assert {wallet.state for wallet in touched} == {WalletState.OPEN}
        assert {wallet.currency for wallet in touched} == {posting.movement.currency}


@often
@any_batch
def test_sequences_and_balances_run_on_without_a_gap(batch: Batch, before: Books) -> None:
    settlement = settled(batch, before)
    for wallet_id, lines in lines_of(settlement, before).items():
        wallet = before[wallet_id]
        balance = wallet.balance
        for number, entry in enumerate(lines, start=wallet.sequence + 1):
            balance += entry.amount
            assert (entry.sequence, entry.balance_after) == (number, balance)


@often
@any_batch
def test_seals_chain_from_the_wallets_seal_to_its_new_one(batch: Batch, before: Books) -> None:
    settlement = settled(batch, before)
    transactions = {posting.id: posting.seal for posting in settlement.postings}
    for wallet_id, lines in lines_of(settlement, before).items():
        seal = before[wallet_id].seal
        for entry in lines:
            line = (wallet_id, entry.sequence, entry.amount, entry.balance_after)
            seal = entry_seal(SEAL_KEY, seal, transactions[entry.transaction_id], line)
            assert entry.seal == seal
        assert after(before, settlement)[wallet_id].seal == seal


@often
@any_batch
def test_every_job_has_one_outcome_in_order_and_each_success_one_posting(batch: Batch, before: Books) -> None:
    jobs = claims(batch)
    settlement = settle(jobs, wanted(jobs, batch), before, posted_at=POSTED_AT, seal_key=SEAL_KEY)
    assert [outcome.job_id for outcome in settlement.outcomes] == [job.id for job in jobs]
    succeeded = [outcome.job_id for outcome in settlement.outcomes if outcome.state is JobState.SUCCEEDED]
    assert [posting.id for posting in settlement.postings] == succeeded


@often
@any_batch
def test_one_batch_comes_to_the_same_as_its_jobs_one_by_one(batch: Batch, before: Books) -> None:
    together = after(before, settled(batch, before))
    alone = before
    for one in batch:
        alone = after(alone, settled([one], alone))
    plain = [
        {wallet_id: (wallet.balance, wallet.sequence) for wallet_id, wallet in end.items()} for end in (together, alone)
    ]
    assert plain[0] == plain[1]


def settled(batch: Batch, before: Books) -> Settlement:
    jobs = claims(batch)
    return settle(jobs, wanted(jobs, batch), before, posted_at=POSTED_AT, seal_key=SEAL_KEY)


def claims(batch: Batch) -> list[Claimed]:
    return [claimed(kind, movement) for kind, movement in batch]


def wanted(jobs: list[Claimed], batch: Batch) -> dict[UUID, Movement]:
    return {job.id: movement for job, (_, movement) in zip(jobs, batch, strict=True)}


def after(before: Books, settlement: Settlement) -> Books:
    return before | {wallet.id: wallet for wallet in settlement.wallets}


def by_currency(wallets: Books) -> Counter[str]:
    held: Counter[str] = Counter()
    for wallet in wallets.values():
        held[wallet.currency] += wallet.balance
    return held


def lines_of(settlement: Settlement, before: Books) -> dict[UUID, list[Entry]]:
    return {
        wallet_id: lines
        for wallet_id in before
        if (lines := [entry for entry in settlement.entries if entry.wallet_id == wallet_id])
    }
