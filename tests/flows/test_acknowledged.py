"""The log and the model are what faults are judged by, so they are judged here."""

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.flows.acknowledged import Acknowledged, Log
from tests.flows.model import replay

DEPOSIT = ("/v1/deposits", {"wallet_id": "a", "amount": 5})
WITHDRAWAL = ("/v1/withdrawals", {"wallet_id": "a", "amount": 5})
TRANSFER = ("/v1/transfers", {"source_wallet_id": "a", "destination_wallet_id": "b", "amount": 5})
OPENING = ("/v1/wallets", {"currency": "RWF"})


@pytest.fixture
def log() -> Iterator[Log]:
    with contextlib.closing(Log()) as log:
        yield log


@pytest.mark.parametrize(
    ("requests", "succeeded", "balances"),
    [
        ([DEPOSIT], "1", {"a": 15, "b": 10}),
        ([WITHDRAWAL], "1", {"a": 5, "b": 10}),
        ([TRANSFER], "1", {"a": 5, "b": 15}),
        ([OPENING], "1", {"a": 10, "b": 10}),
        ([TRANSFER], "", {"a": 10, "b": 10}),
        ([TRANSFER, TRANSFER], "12", {"a": 0, "b": 20}),
        ([TRANSFER, TRANSFER], "2", {"a": 5, "b": 15}),
    ],
)
def test_what_succeeded_counts(
    log: Log, requests: list[tuple[str, dict[str, Any]]], succeeded: str, balances: dict[str, int]
) -> None:
    for number, (path, body) in enumerate(requests, start=1):
        log.keep(path, f"key {number}", body, str(number))
    found = {"a": 10, "b": 10}
    replay(found, log.unread(), set(succeeded))
    assert found == balances


def test_a_job_that_was_acknowledged_to_several_clients_counts_once(log: Log) -> None:
    for _ in range(3):
        log.keep(*TRANSFER[:1], "key", TRANSFER[1], "1")
    found = {"a": 10, "b": 10}
    replay(found, log.unread(), {"1"})
    assert found == {"a": 5, "b": 15}


def test_each_line_is_on_the_disk_as_soon_as_it_is_kept_and_read_once(log: Log) -> None:
    log.keep("/v1/deposits", "one", {}, "1")
    [line] = log.path.read_bytes().splitlines()
    assert msgspec.json.decode(line, type=Acknowledged).job_id == "1"
    assert [one.key for one in log.unread()] == ["one"]
    log.keep("/v1/deposits", "two", {}, "2")
    assert [one.key for one in log.unread()] == ["two"]
    assert log.unread() == []
