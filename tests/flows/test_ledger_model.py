"""Random batches through the worker's engine on a real PostgreSQL, compared with a dictionary after every step."""

import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from operator import attrgetter
from typing import ClassVar, NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec import UNSET
from sqlalchemy import text
from uuid_utils.compat import uuid7

import db.audit
import db.customers
import db.jobs
import db.transactions
import db.wallets
import domain.velocity
from db.engine import transaction
from domain.bulk_transfers import Mode
from domain.jobs import Job, Kind, Queue, Submission
from domain.states import StateChange
from domain.transactions import Movement
from domain.wallets import SystemWallet, WalletOpening, system_id
from settings import Settings, settings
from tests import made
from tests.flows.books import Trial
from tests.flows.conftest import Recorder
from tests.flows.model import (
    BALANCE_MAX,
    CUSTOMER_AMOUNT_MAX,
    CUSTOMER_MOVES_MAX,
    WALLET_AMOUNT_MAX,
    WALLET_MOVES_MAX,
    Act,
    End,
    Model,
    Move,
    Owner,
    Purse,
)
from tests.flows.seeds import SEED
from tests.flows.trials import IS_FULL, Case
from workers import batches, notices

STEPS = 50 if IS_FULL else 30
MOVES_MIN, MOVES_MAX = 4, 16
BATCH_MAX = 5  # Fewer than a step may move, so that steps span batches.
LINES_MAX = 10_000
# Two that share wallets, one that freezes and closes them meanwhile, and one that does so with their owners.
AT_ONCE = (Queue.TRANSACTIONS, Queue.TRANSACTIONS, Queue.WALLETS, Queue.CUSTOMERS)
PATIENCE_SECONDS = 60.0

VELOCITY = {
    "WALLET_MOVES_PER_DAY_MAX": WALLET_MOVES_MAX,
    "WALLET_AMOUNT_PER_DAY_MAX": WALLET_AMOUNT_MAX,
    "CUSTOMER_MOVES_PER_DAY_MAX": CUSTOMER_MOVES_MAX,
    "CUSTOMER_AMOUNT_PER_DAY_MAX": CUSTOMER_AMOUNT_MAX,
}

DAY_HOURS = 10**9  # Midnight comes for the rows, not for the model.

# Nobody's wallet, and the system's own: a caller may name neither.
STRANGERS = [UUID(int=7), system_id(SystemWallet.CASH_IN, "RWF")]
KINDS = (Kind.DEPOSIT_CREATE, Kind.WITHDRAWAL_CREATE, Kind.TRANSFER_CREATE)
CURRENCIES = ("RWF", "USD")

FUNDS = 500  # Of each of the first wallets: without money all that there is to see are refusals.

# More than there are wallets at first: they wrap around. The last ones are the strangers'.
STRANGE = 12
places = st.integers(0, STRANGE + len(STRANGERS) - 1)
amounts = st.one_of(*[st.integers(1, 500)] * 6, st.sampled_from([BALANCE_MAX - 1, BALANCE_MAX]))
moves = st.tuples(
    st.sampled_from((*KINDS, Kind.TRANSFER_CREATE, Kind.DEPOSIT_CREATE)),
    places,
    places,
    amounts,
    st.sampled_from((*CURRENCIES, *[None] * 10)),
    st.booleans(),
)
Drawn = tuple[Kind, int, int, int, str | None, bool]


class DrawnBulk(NamedTuple):
    mode: Mode
    items: list[Drawn]


# Small enough that often nothing stands against any item; some bulks are larger than a batch.
items = st.tuples(st.just(Kind.TRANSFER_CREATE), places, places, st.integers(1, 50), st.none(), st.booleans())
bulks = st.builds(DrawnBulk, st.sampled_from(Mode), st.lists(items, min_size=1, max_size=BATCH_MAX + 2))
# In one queue: what a bulk gives up again is there for those behind it.
orders = st.lists(st.one_of(*[moves] * 6, bulks), min_size=MOVES_MIN, max_size=MOVES_MAX)
# Unfrozen more often than frozen or closed, so that money moves in between.
verbs = st.sampled_from(("freeze", "unfreeze", "unfreeze", "unfreeze", "close"))
purse_changes = st.lists(st.tuples(verbs, places), min_size=1, max_size=4)
owner_changes = st.lists(st.tuples(verbs, st.integers(0, 3)), min_size=1, max_size=3)


class Order(NamedTuple):
    """A job that moves money, and what it is to the model."""

    submission: Submission
    moves: list[Move]
    act: Act


class LedgerMachine(RuleBasedStateMachine):
    """Every rule is a step of the world's; the invariant holds the rows against the model."""

    workers: ClassVar[Executor]  # Processes of their own.

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.touched: set[UUID] = set()

    @initialize()
    def begin(self) -> None:
        self.come()
        self.come()
        self.open_wallets(["RWF", "RWF", "USD"], 0)
        self.open_wallets(["RWF"], 1)
        self._settle(
            [
                self._single(Kind.DEPOSIT_CREATE, Move(None, one, FUNDS, purse.currency))
                for one, purse in self.model.purses.items()
            ]
        )

    @rule()
    def come(self) -> None:
        with transaction(settings().database_url) as tx:
            self.model.owners[made.customer(tx)] = Owner()

    @rule(currencies=st.lists(st.sampled_from(CURRENCIES), min_size=1, max_size=3), place=places)
    def open_wallets(self, currencies: list[str], place: int) -> None:
        owner_id = _nth([*self.model.owners, uuid7()], place)
        openings = [
            made.submission(Kind.WALLET_OPEN, WalletOpening(customer_id=owner_id, currency=currency, type="saving"))
            for currency in currencies
        ]
        ended = _settle(openings)
        for one, currency in zip(openings, currencies, strict=True):
            assert _end(ended[one.id]) == self.model.opening_refusal(owner_id)
            if result := ended[one.id].result:
                purse = Purse(currency=currency, number=result["number"], owner=self.model.owners[owner_id])
                self.model.purses[UUID(result["wallet_id"])] = purse

    @rule(drawn=orders)
    def move(self, drawn: list[Drawn | DrawnBulk]) -> None:
        self._settle([self._order(one) for one in drawn])

    @rule(drawn=orders, of_purses=purse_changes, of_owners=st.one_of(st.just([]), owner_changes))
    def rush(
        self, drawn: list[Drawn | DrawnBulk], of_purses: list[tuple[str, int]], of_owners: list[tuple[str, int]]
    ) -> None:
        """Settle all of it at once, by several workers, as if one after the other in the order in which jobs ended.

        A batch says when they did while it holds the locks: what it had to wait for has ended before.
        """
        acts: dict[UUID, Act] = {}
        submissions = []
        for order in map(self._order, drawn):
            submissions.append(order.submission)
            acts[order.submission.id] = order.act
        for verb, wallet_id in self._purse_changes(of_purses):
            submissions.append(_change("wallet", verb, wallet_id))
            acts[submissions[-1].id] = partial(Model.change_purse, verb=verb, purse_id=wallet_id)
        for verb, owner_id in self._owner_changes(of_owners):
            submissions.append(_change("customer", verb, owner_id))
            acts[submissions[-1].id] = partial(Model.change_owner, verb=verb, owner_id=owner_id)

        for job in sorted(_settle_at_once(self.workers, submissions), key=attrgetter("finished_at")):
            assert _end(job) == acts[job.id](self.model), acts[job.id]
        self.touched |= self.model.purses.keys()

    @rule(drawn=purse_changes)
    def change_wallets(self, drawn: list[tuple[str, int]]) -> None:
        wanted = self._purse_changes(drawn)
        for job, (verb, wallet_id) in zip(_settle_changes("wallet", wanted), wanted, strict=True):
            assert _end(job) == self.model.change_purse(verb, wallet_id), (verb, wallet_id)
            assert job.result is None or job.result["state"] == self.model.purses[wallet_id].state

    @rule(drawn=owner_changes)
    def change_customers(self, drawn: list[tuple[str, int]]) -> None:
        wanted = self._owner_changes(drawn)
        for job, (verb, owner_id) in zip(_settle_changes("customer", wanted), wanted, strict=True):
            assert _end(job) == self.model.change_owner(verb, owner_id), (verb, owner_id)
            assert job.result is None or job.result["state"] == self.model.owners[owner_id].state

    @rule(place=places, share=st.sampled_from((1, 1, 2)))
    def spend(self, place: int, share: int) -> None:
        """Take out what is there, so that a wallet can be closed."""
        wallet_id = _nth(list(self.model.purses), place)
        purse = self.model.purses[wallet_id]
        move = Move(wallet_id, None, max(1, purse.balance // share), purse.currency)
        self._settle([self._single(Kind.WITHDRAWAL_CREATE, move)])

    @rule(place=places, percent=st.sampled_from((0, 0, 0, 30, 100)))
    def hold(self, place: int, percent: int) -> None:
        wallet_id = _nth(list(self.model.purses), place)
        purse = self.model.purses[wallet_id]
        purse.held = purse.balance * percent // 100
        _hold(wallet_id, purse.held)

    @invariant()
    def rows_equal_the_model(self) -> None:
        with transaction(settings().database_api_url) as tx:
            newest = db.wallets.page(tx, None, None, len(self.model.purses))  # Those of examples before are older.
            assert {found.id: (found.balance, found.held, found.state) for found in newest} == {
                one: (purse.balance, purse.held, purse.state) for one, purse in self.model.purses.items()
            }
            for owner_id, owner in self.model.owners.items():
                stored = db.customers.find(tx, owner_id)
                assert stored is not None
                assert stored.state == owner.state
        for wallet_id in self.touched:
            assert _lines(wallet_id) == self.model.purses[wallet_id].lines
        self.touched.clear()

    def _purse_changes(self, drawn: list[tuple[str, int]]) -> list[tuple[str, UUID]]:
        return [(verb, self._wallet_id(place)) for verb, place in drawn]

    def _owner_changes(self, drawn: list[tuple[str, int]]) -> list[tuple[str, UUID]]:
        return [(verb, _nth([*self.model.owners, uuid7()], place)) for verb, place in drawn]

    def _settle(self, wanted: list[Order]) -> None:
        ended = _settle([order.submission for order in wanted])
        for order in wanted:
            assert _end(ended[order.submission.id]) == order.act(self.model), order
            sides = {side for move in order.moves for side in (move.source, move.destination) if side}
            self.touched |= sides & self.model.purses.keys()

    def _order(self, drawn: Drawn | DrawnBulk) -> Order:
        if isinstance(drawn, DrawnBulk):
            moves = [self._move(one) for one in drawn.items]
            movements = [self._movement(move, by_number=one[5]) for move, one in zip(moves, drawn.items, strict=True)]
            act = partial(Model.bulk, wanted=moves, is_whole=drawn.mode is Mode.ALL_OR_NOTHING)
            return Order(made.bulk_transfer(*movements, mode=drawn.mode), moves, act)
        return self._single(drawn[0], self._move(drawn), by_number=drawn[5])

    def _single(self, kind: Kind, move: Move, *, by_number: bool = False) -> Order:
        submission = made.submission(kind, self._movement(move, by_number=by_number))
        return Order(submission, [move], partial(Model.move, wanted=move))

    def _move(self, drawn: Drawn) -> Move:
        kind, source, destination, amount, currency, _ = drawn
        giver = None if kind is Kind.DEPOSIT_CREATE else self._wallet_id(source)
        taker = None if kind is Kind.WITHDRAWAL_CREATE else self._wallet_id(destination)
        purse = self.model.purses.get(giver or taker or STRANGERS[0])
        return Move(giver, taker, amount, currency or (purse.currency if purse else "RWF"))

    def _wallet_id(self, place: int) -> UUID:
        return STRANGERS[place - STRANGE] if place >= STRANGE else _nth(list(self.model.purses), place)

    def _movement(self, move: Move, *, by_number: bool) -> Movement:
        taker = self.model.purses.get(move.destination) if move.destination and move.source and by_number else None
        return Movement(
            amount=move.amount,
            currency=move.currency,
            source_wallet_id=move.source,
            destination_wallet_id=None if taker else move.destination,
            destination_number=taker.number if taker else None,
        )


@pytest.fixture
def workers(small_batches: Settings) -> Iterator[None]:
    del small_batches  # Whose environment they inherit.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(AT_ONCE), mp_context=spawn, initializer=_let_no_day_end) as LedgerMachine.workers:
        yield


@pytest.fixture
def small_batches(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    del fresh
    monkeypatch.setenv("BATCH_MAX", str(BATCH_MAX))
    for name, most in VELOCITY.items():
        monkeypatch.setenv(name, str(most))
    monkeypatch.setattr(domain.velocity, "DAY_HOURS", DAY_HOURS)
    settings.cache_clear()
    notices._client.cache_clear()  # noqa: SLF001 - a client of the test before, and its address
    yield settings()
    notices._client().close()  # noqa: SLF001 - nobody else will
    notices._client.cache_clear()  # noqa: SLF001 - as above


@pytest.mark.usefixtures("workers")
def test_the_ledger_behaves_as_its_model(trial: Case, small_batches: Settings, recorder: Recorder) -> None:
    run_state_machine_as_test(
        seed(SEED)(LedgerMachine),
        settings=hypothesis_settings(
            max_examples=trial.number,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    found = db.audit.verify(small_batches.database_url, small_batches.seal_key.encode())
    assert [finding for _, findings in found for finding in findings] == []
    with transaction(small_batches.database_url) as tx:
        jobs = tx.scalar(text("SELECT count(*) FROM jobs")) or 0
    recorder(Trial(fault=trial.row, jobs=jobs, trials=trial.number))


def _settle(submissions: list[Submission]) -> Mapping[UUID, Job]:
    """Accept as the API does, settle as the workers do; return how the jobs ended."""
    with transaction(settings().database_api_url) as tx:
        db.jobs.stage(tx, submissions)
    batches.drain(made.queue_of(submissions[0].kind))
    with transaction(settings().database_api_url) as tx:
        return {job.id: job for job in db.jobs.find_finished(tx, [one.id for one in submissions])}


def _settle_at_once(workers: Executor, submissions: Sequence[Submission]) -> list[Job]:
    """Accept all, let workers settle side by side, and return how the jobs ended."""
    with transaction(settings().database_api_url) as tx:
        db.jobs.stage(tx, submissions)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:  # What another one held is due again a little later.
        list(workers.map(batches.drain, AT_ONCE))
        with transaction(settings().database_api_url) as tx:
            ended = db.jobs.find_finished(tx, [one.id for one in submissions])
        if len(ended) == len(submissions):
            return ended
        assert time.monotonic() < deadline


def _let_no_day_end() -> None:
    domain.velocity.DAY_HOURS = DAY_HOURS


def _lines(wallet_id: UUID) -> list[int]:
    with transaction(settings().database_api_url) as tx:
        lines = db.transactions.statement(tx, wallet_id, None, LINES_MAX)
    return [line.entry.amount for line in reversed(lines)]


def _end(job: Job) -> End:
    assert job.state in {"succeeded", "rejected"}, msgspec.to_builtins(job)
    if job.error:
        return job.error.code if job.error.index is UNSET else (job.error.code, job.error.index)
    if job.kind is not Kind.BULK_TRANSFER_CREATE:
        return None
    assert job.result is not None
    return [item["error"]["code"] if item["state"] == "rejected" else None for item in job.result["items"]]


def _settle_changes(noun: str, wanted: list[tuple[str, UUID]]) -> list[Job]:
    changes = [_change(noun, verb, one) for verb, one in wanted]
    ended = _settle(changes)
    return [ended[one.id] for one in changes]


def _change(noun: str, verb: str, one: UUID) -> Submission:
    return made.submission(Kind(f"{noun}.{verb}"), StateChange(id=one, reason=None))


def _nth(ids: list[UUID], place: int) -> UUID:
    return ids[place % len(ids)]


def _hold(wallet_id: UUID, held: int) -> None:
    with transaction(settings().database_url) as tx:
        tx.execute(text("UPDATE wallets SET held = :held WHERE id = :id"), {"held": held, "id": wallet_id})
