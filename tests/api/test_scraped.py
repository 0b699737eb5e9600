"""Every process of a running system shows what the catalogue says, and nothing that the catalogue does not know."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.gauges import BOOKS_SECONDS
from domain.jobs import Queue
from local.stack import Stack
from monitoring.catalog import every
from tests.api.clients import Api, Customer, deposit, transfer
from tests.sinks import until

FUNDS = 'tekana_ledger_customer_funds_minor_units{currency="RWF"}'
SECRET_WORDS = "Uwase's savings"
JOBS = {
    "api": "tekana-api",
    **{f"worker-{queue}": "tekana-worker" for queue in Queue},
    "sweeper": "tekana-sweeper",
    "beat": "tekana-beat",
}
SERIES = {name: set(labels) for metric in every() for name, labels in metric.series()}

Scraped = dict[str, str]  # What each process shows.


def targets(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """Yield each target of this machine: the process, its job and its address."""
    for target in msgspec.json.decode((stack.data_dir / "targets.json").read_bytes(), type=list[dict[str, Any]]):
        [address] = target["targets"]
        yield target["labels"]["process"], target["labels"]["job"], address


def scraped(stack: Stack) -> Scraped:
    return {process: scrape(address) for process, _, address in targets(stack)}


def scrape(address: str) -> str:
    return httpx2.get(f"http://{address}/metrics", timeout=10, trust_env=False).raise_for_status().text


@pytest.fixture(scope="module")
def shown(stack: Stack, operator: Api, ann: Customer, bob: Customer) -> Scraped:
    """What the processes show after a good and a refused transfer, a wait and a rejected login."""
    operator.succeeded("/v1/deposits", deposit(ann.wallet_id, 5_00))
    ann.api.finished("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id, 1_00, description=SECRET_WORDS))
    ann.api.finished("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id, 10**12))
    ann.api.post("/v1/auth/login", {"email": ann.registration["email"], "password": "wrong"})
    ann.api.succeeded("/v1/wallets", {"currency": "USD", "type": "saving"})
    # An earlier scrape may have added the books up before there was any money.
    found: Scraped = until(lambda: scraped(stack), is_complete, BOOKS_SECONDS + 60)
    return found


def is_complete(shown: Scraped) -> bool:
    return 'result="done"} 0.0' not in shown["sweeper"] and FUNDS in shown["api"]


def test_every_process_is_a_target_by_the_job_that_the_rules_know(stack: Stack) -> None:
    assert {process: job for process, job, _ in targets(stack)} == JOBS


def test_what_is_exposed_is_catalogued_with_its_labels(shown: Scraped) -> None:
    samples = [sample for text in shown.values() for one in families(text) for sample in one.samples]
    assert {sample.name for sample in samples} - SERIES.keys() == set()
    assert [sample for sample in samples if not set(sample.labels) <= SERIES[sample.name]] == []
    assert len(samples) > 300


def test_what_is_catalogued_is_exposed_by_some_process(shown: Scraped) -> None:
    found = {one.name + "_total" * (one.type == "counter") for text in shown.values() for one in families(text)}
    assert {metric.name for metric in every()} - found == {"tekana_replica_age_seconds"}  # Here there is no replica.


def test_every_process_says_which_release_it_is_and_what_it_takes(shown: Scraped) -> None:
    for text in shown.values():
        names = {one.name for one in families(text)}
        assert {"tekana_build_info", "process_resident_memory_bytes", "process_cpu_seconds"} <= names


def test_workers_count_what_became_of_the_jobs(shown: Scraped) -> None:
    money = shown["worker-transactions"]
    assert value(money, "tekana_jobs_finished_total", kind="transfer.create", state="succeeded", code="") >= 1
    refused = {"kind": "transfer.create", "state": "rejected", "code": "insufficient_funds"}
    assert value(money, "tekana_jobs_finished_total", **refused) >= 1
    assert value(money, "tekana_batch_oldest_job_age_seconds_count", queue="transactions") >= 2
    assert value(shown["worker-wallets"], "tekana_batch_jobs_count", queue="wallets") >= 1


def test_the_api_says_what_the_database_holds(shown: Scraped) -> None:
    assert value(shown["api"], "tekana_database_up") == 1
    assert value(shown["api"], "tekana_ledger_trial_balance_minor_units", currency="RWF") == 0
    assert value(shown["api"], "tekana_ledger_customer_funds_minor_units", currency="RWF") > 0
    assert value(shown["api"], "tekana_accept_seconds_count") > 1


def test_nothing_that_a_caller_sent_is_shown(shown: Scraped, ann: Customer, operator: Api) -> None:
    sent = [SECRET_WORDS, ann.wallet_id, ann.id, ann.registration["email"], ann.registration["national_id"]]
    sent += [ann.access_token, operator.token, ann.wallet_number]
    assert [text for text in sent for page in shown.values() if text in page] == []


def test_a_scrape_of_all_takes_no_time(stack: Stack) -> None:
    began_at = time.monotonic()
    scraped(stack)
    assert time.monotonic() - began_at < 3


def families(text: str) -> list[Any]:
    return list(text_string_to_metric_families(text))


def value(text: str, name: str, **labels: str) -> float:
    found = [
        sample.value
        for one in families(text)
        for sample in one.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) == 1, name
    return float(found[0])
