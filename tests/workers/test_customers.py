from typing import Any
from uuid import UUID

import pytest

import settings
from domain.jobs import Job, Kind, Queue, Submission
from domain.wallets import WalletRequest
from tests import committed
from tests.made import registration, submission
from workers import batches

PEOPLE = Queue.CUSTOMERS
WITH_WALLET = {"wallet": WalletRequest(currency="KES", type="saving")}


def registering(name: str, **changes: Any) -> Submission:
    return submission(Kind.CUSTOMER_REGISTER, registration(name, **changes))


def settled(url: str, *submissions: Submission) -> list[Job]:
    ids = committed.queued(url, *submissions)
    batches.drain(PEOPLE)
    return committed.jobs(url, ids)


def codes(jobs: list[Job]) -> list[str]:
    return [job.error.code if job.error else "" for job in jobs]


def test_a_registration_becomes_a_customer_of_the_jobs_id(url: str) -> None:
    [job] = settled(url, registering("ada"))
    assert job.result == {"customer_id": str(job.id)}
    [row] = committed.execute(url, "SELECT id, full_name, email, national_id_sealed FROM customers")
    assert tuple(row) == (job.id, "Ada", "ada@example.rw", "sealed ada")


def test_a_first_wallet_is_opened_with_the_customer(url: str) -> None:
    [job] = settled(url, registering("ada", **WITH_WALLET))
    assert job.result is not None
    [row] = committed.execute(url, "SELECT id, number, customer_id, currency, type FROM wallets WHERE number <> ''")
    assert tuple(row[:3]) == (UUID(job.result["wallet_id"]), job.result["wallet_number"], job.id)
    assert tuple(row[3:]) == ("KES", "saving")


def test_a_new_wallet_may_hold_what_the_settings_say(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BALANCE_MAX", "12345")
    settings.settings.cache_clear()
    settled(url, registering("ada", **WITH_WALLET))
    assert [row[0] for row in committed.execute(url, "SELECT balance_max FROM wallets WHERE number <> ''")] == [12345]


@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "one after the other"])
def test_who_comes_second_is_refused_and_gets_no_wallet(url: str, at_once: object) -> None:
    wanted = [
        registering("ada", **WITH_WALLET),
        registering("bob", email="ada@example.rw", **WITH_WALLET),
        registering("eve", national_id_index="index ada", **WITH_WALLET),
        registering("bob", **WITH_WALLET),
    ]
    jobs = settled(url, *wanted) if at_once else [job for one in wanted for job in settled(url, one)]
    assert codes(jobs) == ["", "email_taken", "national_id_taken", ""]
    assert [row[0] for row in committed.execute(url, "SELECT count(*) FROM wallets WHERE number <> ''")] == [2]


def test_nothing_that_was_sealed_stays_in_an_ended_job(url: str) -> None:
    settled(url, registering("ada"), registering("eve", email="ada@example.rw"))
    assert [row[0] for row in committed.execute(url, "SELECT payload FROM jobs")] == [{}, {}]


def test_registrations_are_drained_twice_without_harm(url: str) -> None:
    jobs = settled(url, registering("ada", **WITH_WALLET))
    assert batches.drain(PEOPLE) == {"succeeded": 0, "rejected": 0}
    assert committed.jobs(url, [job.id for job in jobs]) == jobs
