"""The head of the ledger's chain, as an auditor's key reads it."""

import time

import msgspec

from domain.access import Scope
from domain.chain import Block
from tests.api.clients import Api, Customer, deposit
from tests.api.conftest import NewKey

SEALED_SECONDS_MAX = 30.0  # Three times as long as the task takes to come.


def test_the_head_grows_with_what_is_posted(new_key: NewKey, operator: Api, ann: Customer) -> None:
    auditor = new_key(Scope.TRANSACTIONS_READ)
    before = head(auditor)
    operator.succeeded("/v1/deposits", deposit(ann.wallet_id))
    deadline = time.monotonic() + SEALED_SECONDS_MAX
    while (after := head(auditor)).transactions == before.transactions:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert after.block > before.block
    assert after.head != before.head
    assert after.sealed_at > before.sealed_at


def head(auditor: Api) -> Block:
    answer = auditor.get("/v1/audit/head")
    assert answer.status_code == 200
    return msgspec.json.decode(answer.content, type=Block)
