"""Freezing, unfreezing and closing by the workers' own engine, beside money that moves."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import create_engine
from uuid_utils.compat import uuid7

import db.audit
import db.customers
import db.jobs
import db.states
import db.wallets
from db.engine import transaction
from domain.customers import CustomerState
from domain.jobs import Job, Kind, Queue, Submission
from domain.states import StateChange
from domain.transactions import Movement
from domain.wallets import WalletOpening
from settings import Settings
from tests import committed, databases, made
from workers import batches
from workers.kinds import SETTLERS


def change(kind: Kind, id_: UUID) -> Submission:
    return made.submission(kind, StateChange(id=id_, reason="a reason"))


def end(job: Job) -> str:
    return job.error.code if job.error else str((job.result or {}).get("state", job.state))


def settled(url: str, *submissions: Submission) -> list[str]:
    """Settle jobs of any kinds; return the state that each led to, or its code."""
    ids = committed.queued(url, *submissions)
    for queue in {one.queue for one in submissions}:
        batches.drain(queue)
    return [end(job) for job in committed.jobs(url, ids)]


def drain_again(url: str, queue: Queue) -> None:
    """Settle what was put off, without the wait."""
    committed.execute(url, "UPDATE jobs SET due_at = now() WHERE state = 'queued'")
    batches.drain(queue)


def states(url: str, customer_id: UUID) -> tuple[str, list[str]]:
    """Return the state of a customer, and those of their wallets in order of their opening."""
    with transaction(url) as tx:
        customer = db.customers.find(tx, customer_id)
        found = db.wallets.page(tx, customer_id, None, 100)
    assert customer is not None
    return customer.state, [wallet.state for wallet in reversed(found)]


@pytest.fixture
def customer(url: str) -> UUID:
    with transaction(url) as tx:
        return made.customer(tx)


@pytest.fixture
def wallets(url: str, customer: UUID) -> list[UUID]:
    with transaction(url) as tx:
        return sorted(made.wallet(tx, customer) for _ in range(2))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody do without a lock that is late because the machine is busy. A deadlock is an error all the same."""
    for layer in (db.states, db.wallets):
        monkeypatch.setattr(layer, "LOCK_WAIT", "30s")


def test_a_frozen_wallet_moves_nothing_until_it_is_unfrozen(url: str, wallets: list[UUID]) -> None:
    first, second = wallets
    assert settled(url, change(Kind.WALLET_FREEZE, first)) == ["frozen"]
    assert settled(url, committed.deposit_of(first, 1), committed.deposit_of(second, 1)) == [
        "destination_frozen",
        "succeeded",
    ]
    assert settled(url, change(Kind.WALLET_UNFREEZE, first), change(Kind.WALLET_UNFREEZE, first)) == ["open", "open"]
    assert settled(url, committed.deposit_of(first, 1)) == ["succeeded"]


def test_a_wallet_is_closed_once_it_is_empty_and_stays_so(url: str, wallets: list[UUID]) -> None:
    [wallet, _] = wallets
    assert settled(url, committed.deposit_of(wallet, 5)) == ["succeeded"]
    assert settled(url, change(Kind.WALLET_CLOSE, wallet)) == ["balance_not_zero"]
    out = Movement(amount=5, currency="RWF", source_wallet_id=wallet)
    assert settled(url, made.submission(Kind.WITHDRAWAL_CREATE, out)) == ["succeeded"]
    kinds = (Kind.WALLET_CLOSE, Kind.WALLET_CLOSE, Kind.WALLET_FREEZE, Kind.WALLET_UNFREEZE)
    assert settled(url, *(change(kind, wallet) for kind in kinds)) == ["closed", "closed", *["wallet_closed"] * 2]
    assert settled(url, committed.deposit_of(wallet, 5)) == ["destination_closed"]


def test_a_customers_freeze_takes_their_wallets_along_and_leaves_what_was_frozen_alone(
    url: str, customer: UUID, wallets: list[UUID]
) -> None:
    assert settled(url, change(Kind.WALLET_FREEZE, wallets[0])) == ["frozen"]
    assert settled(url, change(Kind.CUSTOMER_FREEZE, customer)) == ["frozen"]
    assert states(url, customer) == ("frozen", ["frozen", "frozen"])
    assert settled(url, change(Kind.WALLET_UNFREEZE, wallets[1])) == ["customer_frozen"]
    assert settled(url, change(Kind.CUSTOMER_UNFREEZE, customer)) == ["open"]
    assert states(url, customer) == ("open", ["frozen", "open"])


def test_a_wallet_that_is_frozen_while_its_customer_is_stays_frozen(
    url: str, customer: UUID, wallets: list[UUID]
) -> None:
    settled(url, change(Kind.CUSTOMER_FREEZE, customer))
    settled(url, change(Kind.WALLET_FREEZE, wallets[1]))
    settled(url, change(Kind.CUSTOMER_UNFREEZE, customer))
    assert states(url, customer) == ("open", ["open", "frozen"])


def test_a_customer_is_closed_once_all_wallets_are(url: str, customer: UUID, wallets: list[UUID]) -> None:
    assert settled(url, change(Kind.CUSTOMER_CLOSE, customer)) == ["wallets_not_closed"]
    settled(url, *(change(Kind.WALLET_CLOSE, wallet) for wallet in wallets))
    assert settled(url, change(Kind.CUSTOMER_CLOSE, customer)) == ["closed"]
    assert settled(url, change(Kind.CUSTOMER_UNFREEZE, customer)) == ["customer_closed"]


@pytest.mark.parametrize(("kind", "code"), [(Kind.CUSTOMER_FREEZE, "frozen"), (Kind.CUSTOMER_CLOSE, "closed")])
def test_who_is_not_open_gets_no_wallet(url: str, customer: UUID, kind: Kind, code: str) -> None:
    assert settled(url, change(kind, customer)) == [code]
    assert settled(url, opening_for(customer)) == [f"customer_{code}"]


def test_a_wallet_can_be_frozen_in_the_batch_that_opens_it(url: str, customer: UUID) -> None:
    opening = opening_for(customer)
    assert settled(url, opening, change(Kind.WALLET_FREEZE, opening.id)) == ["succeeded", "frozen"]


def test_what_is_not_there_cannot_be_changed(url: str) -> None:
    kinds = [Kind.WALLET_FREEZE, Kind.WALLET_UNFREEZE, Kind.WALLET_CLOSE]
    assert settled(url, *(change(kind, uuid7()) for kind in kinds)) == ["wallet_not_found"] * 3
    kinds = [Kind.CUSTOMER_FREEZE, Kind.CUSTOMER_UNFREEZE, Kind.CUSTOMER_CLOSE]
    assert settled(url, *(change(kind, uuid7()) for kind in kinds)) == ["customer_not_found"] * 3


def test_changes_are_drained_twice_without_harm(url: str, customer: UUID, wallets: list[UUID]) -> None:
    settled(url, change(Kind.WALLET_CLOSE, wallets[0]), change(Kind.CUSTOMER_FREEZE, customer))
    before = states(url, customer)
    assert [batches.drain(queue)["succeeded"] for queue in (Queue.WALLETS, Queue.CUSTOMERS)] == [0, 0]
    assert states(url, customer) == before


@pytest.mark.parametrize("kind", [Kind.WALLET_FREEZE, Kind.CUSTOMER_FREEZE])
def test_a_change_waits_for_a_wallet_that_somebody_holds_and_comes_again(
    url: str, customer: UUID, wallets: list[UUID], kind: Kind
) -> None:
    one = change(kind, customer if kind is Kind.CUSTOMER_FREEZE else wallets[0])
    with transaction(url) as holder:
        db.wallets.lock(holder, {wallets[0]})
        assert settled(url, one) == ["queued"]
    drain_again(url, one.queue)
    assert [end(job) for job in committed.jobs(url, [one.id])] == ["frozen"]


@pytest.mark.parametrize("noun", ["wallet", "customer"])
def test_a_later_change_waits_for_the_one_before_it_that_was_put_off(
    url: str, customer: UUID, wallets: list[UUID], noun: str
) -> None:
    target = wallets[0] if noun == "wallet" else customer
    first, second = (change(Kind(f"{noun}.{verb}"), target) for verb in ("freeze", "unfreeze"))
    with transaction(url) as holder:
        db.wallets.lock(holder, {wallets[0]})
        assert settled(url, first) == ["queued"]
    assert settled(url, second) == ["queued"]
    drain_again(url, first.queue)
    assert [end(job) for job in committed.jobs(url, [first.id, second.id])] == ["frozen", "open"]
    assert states(url, customer) == ("open", ["open", "open"])


@pytest.mark.parametrize("kind", [Kind.WALLET_FREEZE, Kind.CUSTOMER_FREEZE, Kind.WALLET_OPEN])
def test_who_holds_one_customer_for_long_holds_up_nobody_else(
    url: str, customer: UUID, wallets: list[UUID], kind: Kind
) -> None:
    with transaction(url) as tx:
        other = made.customer(tx)
        its_wallet = made.wallet(tx, other)
    held, free = asked(kind, customer, wallets[0]), asked(kind, other, its_wallet)
    with transaction(url) as holder:
        db.states.lock_customers(holder, {customer})
        first, second = settled(url, held, free)
        assert (first, second) == ("queued", "succeeded" if kind is Kind.WALLET_OPEN else "frozen")
    drain_again(url, held.queue)
    assert [end(job) for job in committed.jobs(url, [held.id])] == [second]


def asked(kind: Kind, customer: UUID, wallet: UUID) -> Submission:
    if kind is Kind.WALLET_OPEN:
        return opening_for(customer)
    return change(kind, customer if kind is Kind.CUSTOMER_FREEZE else wallet)


def opening_for(customer: UUID) -> Submission:
    return made.submission(Kind.WALLET_OPEN, WalletOpening(customer_id=customer, currency="RWF", type="loan"))


def test_a_wallet_can_be_frozen_though_its_opening_was_put_off(url: str, customer: UUID, wallets: list[UUID]) -> None:
    opening = opening_for(customer)
    freeze, again = (change(Kind.WALLET_FREEZE, opening.id) for _ in range(2))
    with transaction(url) as holder:
        db.wallets.lock(holder, {wallets[0]})
        assert settled(url, opening, freeze) == ["queued", "queued"]
        assert settled(url, again) == ["queued"]
    drain_again(url, Queue.WALLETS)
    assert [end(job) for job in committed.jobs(url, [opening.id, freeze.id, again.id])] == [
        "succeeded",
        *["frozen"] * 2,
    ]


def test_a_customer_can_be_frozen_whose_registration_is_still_to_come(url: str) -> None:
    registration = made.submission(Kind.CUSTOMER_REGISTER, made.registration())
    freeze = change(Kind.CUSTOMER_FREEZE, registration.id)
    committed.queued(url, registration)
    committed.execute(url, "UPDATE jobs SET due_at = now() + interval '1 hour'")
    assert settled(url, freeze) == ["queued"]
    drain_again(url, Queue.CUSTOMERS)
    assert [end(job) for job in committed.jobs(url, [registration.id, freeze.id])] == ["succeeded", "frozen"]


@pytest.mark.usefixtures("patient")
def test_nobody_opens_a_wallet_while_its_customer_is_being_frozen(fresh: Settings, url: str, customer: UUID) -> None:
    opening = opening_for(customer)
    committed.queued(url, opening)
    with databases.connected(fresh.database_url) as watcher, ThreadPoolExecutor(1) as threads:
        with databases.connected(fresh.database_worker_url) as freezing:
            db.states.lock_customers(freezing, {customer})
            db.states.update_customers(freezing, {customer: CustomerState.FROZEN})
            waiting = threads.submit(batches.drain, Queue.WALLETS)
            databases.wait_until_blocked(watcher, waiting)
            freezing.commit()
        waiting.result()
    assert [end(job) for job in committed.jobs(url, [opening.id])] == ["customer_frozen"]


def test_sessions_of_a_frozen_customer_end(url: str, customer: UUID) -> None:
    begin = (
        "INSERT INTO sessions (id, customer_id, expires_at) VALUES (gen_random_uuid(), '{}', now() + interval '1 day')"
    )
    with transaction(url) as tx:
        other = made.customer(tx)
    for one in (customer, customer, other):
        committed.execute(url, begin.format(one))
    settled(url, change(Kind.CUSTOMER_FREEZE, customer))
    ended = "SELECT customer_id, count(revoked_at) AS ended FROM sessions GROUP BY customer_id"
    assert {row.customer_id: row.ended for row in committed.execute(url, ended)} == {customer: 2, other: 0}


@pytest.mark.usefixtures("patient")
def test_money_that_moves_and_freezes_that_come_never_deadlock(
    fresh: Settings, url: str, customer: UUID, wallets: list[UUID]
) -> None:
    """Two workers of each queue, and jobs that touch the same rows in opposite orders."""
    with transaction(url) as tx:
        other = made.customer(tx)
        stock = {customer: wallets, other: [made.wallet(tx, other)]}
    known = [one for some in stock.values() for one in some]
    settled(url, *(committed.deposit_of(wallet, 1_000) for wallet in known))
    jobs = [one for turn in range(40) for one in crossing(turn, stock)]
    ids = committed.queued(url, *jobs)

    queues = [Queue.TRANSACTIONS, Queue.WALLETS, Queue.CUSTOMERS] * 2
    while committed.execute(url, "UPDATE jobs SET due_at = now() WHERE state = 'queued' RETURNING id"):  # Or put off.
        with ThreadPoolExecutor(len(queues)) as threads:
            list(threads.map(lambda queue: drain(fresh.database_worker_url, queue), queues))

    codes = {end(job) for job in committed.jobs(url, ids)}
    assert codes <= {"succeeded", "source_frozen", "destination_frozen", "customer_frozen", "open", "frozen"}
    assert sum(committed.balances(url, known)) == 3_000
    audited = db.audit.verify(fresh.database_url, fresh.seal_key.encode())
    assert [finding for _, findings in audited for finding in findings] == []


def crossing(turn: int, stock: dict[UUID, list[UUID]]) -> list[Submission]:
    """Return jobs that name customers and wallets one way around in even turns, and the other in odd ones."""
    way = 1 if turn % 2 else -1
    customers, wallets = list(stock)[::way], [one for some in stock.values() for one in some][::way]
    there = Movement(amount=1, currency="RWF", source_wallet_id=wallets[0], destination_wallet_id=wallets[1])
    freezes = turn // 2 % 2 == 0
    return [
        made.submission(Kind.TRANSFER_CREATE, there),
        *(change(Kind.WALLET_FREEZE if freezes else Kind.WALLET_UNFREEZE, one) for one in wallets),
        *(change(Kind.CUSTOMER_FREEZE if freezes else Kind.CUSTOMER_UNFREEZE, one) for one in customers),
        opening_for(customers[0]),
    ]


def drain(url: str, queue: Queue) -> None:
    """Settle as a worker of its own does; an error, such as a deadlock, ends it."""
    engine = create_engine(url)
    while True:
        with engine.begin() as tx:
            batch = db.jobs.claim(tx, queue, 10)
            if not batch:
                break
            db.jobs.finish(tx, SETTLERS[batch[0].kind](tx, batch))
    engine.dispose()
