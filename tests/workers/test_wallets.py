from uuid import UUID

import pytest

import settings
from db.engine import transaction
from domain.jobs import Job, Kind, Queue, Submission
from domain.wallets import WalletOpening, parse_number
from tests import committed, made
from workers import batches


@pytest.fixture
def customer(url: str) -> UUID:
    with transaction(url) as tx:
        return made.customer(tx)


def opening(customer_id: UUID, currency: str = "RWF") -> Submission:
    return made.submission(Kind.WALLET_OPEN, WalletOpening(customer_id=customer_id, currency=currency, type="loan"))


def settled(url: str, *submissions: Submission) -> list[Job]:
    ids = committed.queued(url, *submissions)
    batches.drain(Queue.WALLETS)
    return committed.jobs(url, ids)


def test_an_opening_becomes_an_empty_wallet_of_the_jobs_id(url: str, customer: UUID) -> None:
    [job] = settled(url, opening(customer))
    [row] = committed.execute(
        url, "SELECT number, customer_id, currency, type, balance FROM wallets WHERE number <> ''"
    )
    assert job.result == {"wallet_id": str(job.id), "number": row.number}
    assert tuple(row[1:]) == (customer, "RWF", "loan", 0)
    assert parse_number(row.number, "number") == row.number


def test_a_customer_may_have_several_wallets_of_a_currency(url: str, customer: UUID) -> None:
    results = [job.result or {} for job in settled(url, *(opening(customer) for _ in range(3)))]
    assert len({result["number"] for result in results}) == 3


def test_a_wallet_for_nobody_is_refused_without_harm_to_the_others(url: str, customer: UUID) -> None:
    stranger, known = settled(url, opening(UUID(int=1)), opening(customer))
    assert (stranger.error and stranger.error.code, known.error) == ("customer_not_found", None)


def test_a_wallet_may_hold_what_the_settings_say(url: str, customer: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BALANCE_MAX", "12345")
    settings.settings.cache_clear()
    settled(url, opening(customer))
    assert [row[0] for row in committed.execute(url, "SELECT balance_max FROM wallets WHERE number <> ''")] == [12345]


def test_openings_are_drained_twice_without_harm(url: str, customer: UUID) -> None:
    jobs = settled(url, opening(customer))
    assert batches.drain(Queue.WALLETS) == {"succeeded": 0, "rejected": 0}
    assert committed.jobs(url, [job.id for job in jobs]) == jobs
