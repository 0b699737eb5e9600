"""The pages whose latency is compared: each is there, and the one that follows it."""

import contextlib

import pytest

from api.pages import LIMIT_DEFAULT
from bench import pages
from bench.database import Database
from bench.options import Options
from bench.scene import Scene
from local.stack import Stack

FIRST = {"customers", "statement", "transactions", "jobs", "events"}
CUSTOMERS = LIMIT_DEFAULT + 1
LONG = {"customers", "jobs", "events"}  # With more than one page then.


def test_each_page_is_read_and_the_next_one_of_each_list(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "READS", 1)
    monkeypatch.setattr(pages, "WARM_UP", 0)
    with contextlib.closing(Database(stack.database_url)) as database:
        scene = Scene(stack, database, Options(customers=CUSTOMERS, callers=1), print)
        with contextlib.closing(scene.bank.client):
            [read] = pages.timed([scene])

    assert {*FIRST, *(f"{name}, next" for name in LONG)} <= read.keys()
    assert all(one.p50 > 0 for one in read.values())
