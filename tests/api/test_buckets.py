"""What everybody may ask for: so many requests at one process, of a caller or, without one, of a network address."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import api.buckets
from api.buckets import Buckets
from local.stack import Stack
from tests.api.clients import Api, Customer, deposit, problem
from tests.api.conftest import NewKey
from tests.api.processes import serving

SECONDS = 1
REQUESTS = 3  # A minute: there is one more after twenty seconds.


def test_a_bucket_gives_what_is_in_it_and_then_as_much_as_flows_in() -> None:
    buckets = Buckets(4, SECONDS)
    at_once = [buckets.take("a") for _ in range(5)]
    time.sleep(SECONDS / 2)
    later = [buckets.take("a")[0] for _ in range(2)]

    assert [one[:2] for one in at_once] == [(True, 3), (True, 2), (True, 1), (True, 0), (False, 0)]
    assert all(0 < seconds <= SECONDS / 4 for _, _, seconds in at_once)
    assert later == [True, True]


def test_each_has_a_bucket_of_its_own_which_holds_no_more_than_it_may() -> None:
    buckets = Buckets(2, SECONDS)
    buckets.take("a")
    time.sleep(2 * SECONDS)
    assert [buckets.take(key)[0] for key in "aaab"] == [True, True, False, True]


def test_no_more_keys_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.buckets, "KEYS_MAX", 2)
    buckets = Buckets(1, SECONDS * 100)

    assert [buckets.take(key)[0] for key in "aabbca"] == [True, False, True, False, True, True]


@pytest.fixture
def strict(stack: Stack, tmp_path: Path) -> Iterator[Api]:
    with serving(stack.env, tmp_path / "log", REQUESTS_PER_MINUTE_MAX=str(REQUESTS)) as process:
        yield process


def refused(answer: httpx2.Response) -> None:
    problem(answer, 429, "rate_limited")
    told = f'"request";r=0;t={answer.headers["retry-after"]}'
    assert (answer.headers["ratelimit"], answer.headers["ratelimit-policy"]) == (told, f'"request";q={REQUESTS};w=60')
    assert 1 <= int(answer.headers["retry-after"]) <= 60 / REQUESTS


def test_whatever_one_caller_asks_for_is_limited_and_nobody_else_is(strict: Api, ann: Customer, bob: Customer) -> None:
    caller = strict.holding(ann.access_token)
    assert [
        caller.get("/v1/wallets").status_code,
        caller.patch(f"/v1/webhook-endpoints/{ann.wallet_id}", {}).status_code,
        caller.post(f"/v1/jobs/{ann.wallet_id}/cancel").status_code,
    ] == [200, 403, 404]

    refused(caller.get("/v1/customers/me"))
    refused(caller.send("DELETE", f"/v1/webhook-endpoints/{ann.wallet_id}"))
    refused(caller.post("/v1/withdrawals", deposit(ann.wallet_id)))

    assert strict.holding(bob.access_token).get("/v1/customers/me").status_code == 200


def test_tokens_that_are_nobodys_are_limited_for_their_address_and_keep_no_caller_out(
    strict: Api, new_key: NewKey
) -> None:
    refresh = {"refresh_token": "made-up"}
    answers = [
        strict.holding("tk_made-up").get("/v1/wallets"),
        strict.post("/v1/auth/refresh", refresh),
        strict.post("/v1/auth/logout", refresh),
    ]
    assert [answer.status_code for answer in answers] == [401] * REQUESTS

    for answer in (
        strict.holding("tk_made-up").post("/v1/transfers", {}),
        strict.holding("a.b.c").get("/v1/wallets"),
        strict.post("/v1/auth/refresh", refresh),
        strict.post("/v1/auth/logout", refresh),
        strict.get("/v1/wallets"),
    ):
        refused(answer)
    assert strict.holding(new_key("wallets:read").token).get("/v1/wallets").status_code == 200


def test_probes_and_descriptions_are_never_sent_away(strict: Api) -> None:
    paths = ("/health/live", "/health/ready", "/openapi.json")
    assert {strict.get(path).status_code for path in paths for _ in range(REQUESTS + 1)} == {200}
