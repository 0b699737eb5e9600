"""Random batches through the worker's engine on a real PostgreSQL, compared with a dictionary after every step."""

from collections.abc import Iterator, Mapping
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text
from uuid_utils.compat import uuid7

import db.audit
import db.jobs
import db.transactions
import db.wallets
from db.engine import transaction
from domain.jobs import Job, Kind, Submission
from domain.transactions import Movement
from domain.wallets import SystemWallet, WalletOpening, system_id
from settings import Settings, settings
from tests import made
from tests.flows.books import Trial
from tests.flows.conftest import Recorder
from tests.flows.model import BALANCE_MAX, Model, Move, Purse
from tests.flows.seeds import SEED
from tests.flows.trials import IS_FULL, Case
from workers import batches, notices

STEPS = 50 if IS_FULL else 30
MOVES_MIN, MOVES_MAX = 4, 16
BATCH_MAX = 5  # Fewer than a step may move, so that steps span batches.
LINES_MAX = 10_000

# Nobody's wallet, and the system's own: a caller may name neither.
STRANGERS = [UUID(int=7), system_id(SystemWallet.CASH_IN, "RWF")]
KINDS = (Kind.DEPOSIT_CREATE, Kind.WITHDRAWAL_CREATE, Kind.TRANSFER_CREATE)
CURRENCIES = ("RWF", "USD")

places = st.integers(0, 7)  # More than there are wallets at first: they wrap around.
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


class LedgerMachine(RuleBasedStateMachine):
    """Every rule is a step of the world's; the invariant holds the rows against the model."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.touched: set[UUID] = set()
        with transaction(settings().database_url) as tx:
            self.customer_id = made.customer(tx)

    @initialize()
    def begin(self) -> None:
        self.open_wallets(["RWF", "RWF", "USD"])

    @rule(currencies=st.lists(st.sampled_from(CURRENCIES), min_size=1, max_size=3))
    def open_wallets(self, currencies: list[str]) -> None:
        openings = [
            made.submission(
                Kind.WALLET_OPEN, WalletOpening(customer_id=self.customer_id, currency=currency, type="saving")
            )
            for currency in currencies
        ]
        ended = _settle(openings)
        for one, currency in zip(openings, currencies, strict=True):
            result = ended[one.id].result
            assert result is not None
            self.model.purses[UUID(result["wallet_id"])] = Purse(currency=currency, number=result["number"])

    @rule()
    def open_a_wallet_for_nobody(self) -> None:
        opening = WalletOpening(customer_id=uuid7(), currency="RWF", type="personal")
        one = made.submission(Kind.WALLET_OPEN, opening)
        assert _code(_settle([one])[one.id]) == "customer_not_found"

    @rule(drawn=st.lists(moves, min_size=MOVES_MIN, max_size=MOVES_MAX))
    def move(self, drawn: list[Drawn]) -> None:
        wanted = [(self._move(one), one) for one in drawn]
        submissions = [made.submission(one[0], self._movement(move, by_number=one[5])) for move, one in wanted]
        ended = _settle(submissions)
        for (move, _), submission in zip(wanted, submissions, strict=True):
            assert _code(ended[submission.id]) == self.model.move(move), move
            self.touched |= {side for side in (move.source, move.destination) if side in self.model.purses}

    @rule(place=places, state=st.sampled_from(("open", "open", "frozen", "closed")))
    def change_state(self, place: int, state: str) -> None:
        wallet_id = list(self.model.purses)[place % len(self.model.purses)]
        self.model.purses[wallet_id].state = state
        _update(wallet_id, "state", state)

    @rule(place=places, percent=st.integers(0, 100))
    def hold(self, place: int, percent: int) -> None:
        wallet_id = list(self.model.purses)[place % len(self.model.purses)]
        purse = self.model.purses[wallet_id]
        purse.held = purse.balance * percent // 100
        _update(wallet_id, "held", purse.held)

    @invariant()
    def rows_equal_the_model(self) -> None:
        with transaction(settings().database_api_url) as tx:
            for wallet_id, purse in self.model.purses.items():
                found = db.wallets.find(tx, wallet_id)
                assert found is not None
                assert (found.balance, found.held, found.state) == (purse.balance, purse.held, purse.state)
            for wallet_id in self.touched:
                lines = db.transactions.statement(tx, wallet_id, None, LINES_MAX)
                assert [line.entry.amount for line in reversed(lines)] == self.model.purses[wallet_id].lines
        self.touched.clear()

    def _move(self, drawn: Drawn) -> Move:
        kind, source, destination, amount, currency, _ = drawn
        sides = [*self.model.purses, *STRANGERS]
        giver = None if kind is Kind.DEPOSIT_CREATE else sides[source % len(sides)]
        taker = None if kind is Kind.WITHDRAWAL_CREATE else sides[destination % len(sides)]
        purse = self.model.purses.get(giver or taker or STRANGERS[0])
        return Move(giver, taker, amount, currency or (purse.currency if purse else "RWF"))

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
def small_batches(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    del fresh
    monkeypatch.setenv("BATCH_MAX", str(BATCH_MAX))
    settings.cache_clear()
    notices._client.cache_clear()  # noqa: SLF001 - a client of the test before, and its address
    yield settings()
    notices._client().close()  # noqa: SLF001 - nobody else will
    notices._client.cache_clear()  # noqa: SLF001 - as above


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
    recorder(
        Trial(fault=trial.row, jobs=jobs, interrupted=0, lost=0, doubled=0, wait_seconds_max=0.0, trials=trial.number)
    )


def _settle(submissions: list[Submission]) -> Mapping[UUID, Job]:
    """Accept as the API does, settle as the workers do; return how the jobs ended."""
    with transaction(settings().database_api_url) as tx:
        db.jobs.stage(tx, submissions)
    batches.drain(made.queue_of(submissions[0].kind))
    with transaction(settings().database_api_url) as tx:
        return {job.id: job for job in db.jobs.find_finished(tx, [one.id for one in submissions])}


def _code(job: Job) -> str | None:
    assert job.state in {"succeeded", "rejected"}, msgspec.to_builtins(job)
    return job.error.code if job.error else None


def _update(wallet_id: UUID, column: str, value: str | int) -> None:
    statement = text(f"UPDATE wallets SET {column} = :value WHERE id = :id")  # noqa: S608 - our own word
    with transaction(settings().database_url) as tx:
        tx.execute(statement, {"value": value, "id": wallet_id})
