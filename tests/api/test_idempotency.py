"""One key, one job: however often, from wherever and at whatever moment it is sent."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from local.stack import Stack
from tests.api.clients import Api, Customer, deposit, problem, registration, transfer
from tests.api.conftest import NewKey, Sql

CLIENTS = 64
POSTS = ("/v1/customers", "/v1/wallets", "/v1/deposits", "/v1/withdrawals", "/v1/transfers")


@pytest.fixture(scope="module")
def valid(ann: Customer, bob: Customer) -> Callable[[str], dict[str, Any]]:
    """Make a body that the route of this path accepts from the operator."""
    bodies: dict[str, dict[str, Any]] = {
        "/v1/customers": registration(),
        "/v1/wallets": {"currency": "USD", "customer_id": ann.id},
        "/v1/deposits": deposit(ann.wallet_id),
        "/v1/withdrawals": deposit(ann.wallet_id),
        "/v1/transfers": transfer(ann.wallet_id, bob.wallet_id),
    }
    return lambda path: dict(bodies[path])


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "key",
    [None, "", "with a blank", "tab\tbed", "schlüssel", "k" * 256],
    ids=["missing", "empty", "with a blank", "with a tab", "not ASCII", "too long"],
)
def test_a_key_of_1_to_255_visible_ascii_characters_is_required(
    operator: Api, valid: Callable[[str], dict[str, Any]], path: str, key: str | None
) -> None:
    headers = {} if key is None else {"Idempotency-Key": key.encode()}

    response = operator.send("POST", path, json=valid(path), headers=headers)

    body = problem(response, 400, "idempotency_key_missing")
    assert [error["field"] for error in body["errors"]] == ["Idempotency-Key"]


@pytest.mark.parametrize("key", ["k", "!~" + "k" * 253, '"quoted"', str(UUID(int=7))])
def test_any_key_within_the_bounds_is_taken(operator: Api, ann: Customer, key: str) -> None:
    response = operator.post("/v1/deposits", deposit(ann.wallet_id), key=key)

    assert response.status_code == 202
    assert operator.post("/v1/deposits", deposit(ann.wallet_id), key=key).json()["id"] == response.json()["id"]


@pytest.mark.parametrize("path", POSTS)
def test_the_same_request_gets_the_same_job_and_is_told_so(
    operator: Api, valid: Callable[[str], dict[str, Any]], path: str
) -> None:
    key = str(uuid4())

    first, second = (operator.post(path, valid(path), key=key) for _ in range(2))

    assert (first.status_code, second.status_code) == (202, 202)
    assert (first.headers.get("idempotency-hit"), second.headers.get("idempotency-hit")) == (None, "true")
    assert first.headers["location"] == second.headers["location"] == f"/v1/jobs/{first.json()['id']}"


def test_a_body_is_the_same_however_it_is_written(operator: Api, ann: Customer, bob: Customer) -> None:
    key, body = str(uuid4()), transfer(ann.wallet_id, bob.wallet_id, metadata={"a": "1", "b": "ü"})
    spaced = msgspec.json.format(msgspec.json.encode(dict(reversed(body.items()))), indent=4)
    reordered = body | {"metadata": {"b": "ü", "a": "1"}}
    escaped = msgspec.json.encode(body).replace("ü".encode(), rb"\u00fc")

    answers = [operator.post("/v1/transfers", one, key=key) for one in (body, spaced, reordered, escaped)]

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [answer.headers.get("idempotency-hit") for answer in answers] == [None, "true", "true", "true"]


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/v1/deposits", {"amount": 2}),
        ("/v1/deposits", {"currency": "USD"}),
        ("/v1/deposits", {"description": "another"}),
        ("/v1/deposits", {"external_reference": "another"}),
        ("/v1/deposits", {"wallet_id": str(UUID(int=0))}),
        ("/v1/withdrawals", {}),
    ],
    ids=str,
)
def test_a_key_stands_for_one_route_and_body(operator: Api, ann: Customer, path: str, changes: dict[str, Any]) -> None:
    key = str(uuid4())
    first = operator.post("/v1/deposits", deposit(ann.wallet_id), key=key)

    other = operator.post(path, deposit(ann.wallet_id) | changes, key=key)

    problem(other, 422, "idempotency_key_reused")
    assert operator.post("/v1/deposits", deposit(ann.wallet_id), key=key).json()["id"] == first.json()["id"]


def test_a_key_from_before_there_were_callbacks_stands_for_its_request(
    stack: Stack, operator: Api, sql: Sql, ann: Customer
) -> None:
    """A client may send again, after an upgrade, what it sent before: the hash is of the same text as then."""
    job = operator.post("/v1/deposits", deposit(ann.wallet_id)).json()
    then = deposit(ann.wallet_id) | {"description": None, "external_reference": None}
    said = b"deposit.create\0" + msgspec.json.encode(then, order="sorted")

    [row] = sql("SELECT fingerprint FROM jobs WHERE id = CAST(:id AS uuid)", id=job["id"])

    key = stack.env["INDEX_KEY"].encode()
    assert bytes(row["fingerprint"]) == hashlib.blake2b(said, key=key, digest_size=16).digest()


def test_another_password_is_another_body(anyone: Api) -> None:
    key, body = str(uuid4()), registration()
    anyone.post("/v1/customers", body, key=key)

    problem(anyone.post("/v1/customers", body | {"password": "another one"}, key=key), 422, "idempotency_key_reused")


def test_callers_who_pick_the_same_key_do_not_meet(
    operator: Api, new_key: NewKey, ann: Customer, bob: Customer
) -> None:
    key, other_key = str(uuid4()), new_key("*")
    ids = [
        caller.post("/v1/transfers", transfer(source.wallet_id, destination.wallet_id), key=key).json()["id"]
        for caller, source, destination in (
            (operator, ann, bob),
            (other_key, ann, bob),
            (ann.api, ann, bob),
            (bob.api, bob, ann),
        )
    ]

    assert len(set(ids)) == 4


def test_strangers_who_pick_the_same_key_do_not_meet(anyone: Api) -> None:
    key, first, second = str(uuid4()), registration(), registration()

    answers = [anyone.post("/v1/customers", body, key=key) for body in (first, second, first)]

    ids = [answer.json()["id"] for answer in answers]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert ids[0] == ids[2] != ids[1]


def test_a_stranger_is_their_email_however_it_is_written(anyone: Api) -> None:
    key, body = str(uuid4()), registration()
    anyone.post("/v1/customers", body, key=key)

    shouted = anyone.post("/v1/customers", body | {"email": body["email"].upper()}, key=key)

    problem(shouted, 422, "idempotency_key_reused")


def test_a_request_refused_as_somebody_elses_does_not_consume_its_key(ann: Customer, bob: Customer) -> None:
    key = str(uuid4())

    refused = bob.api.post("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id), key=key)
    accepted = bob.api.post("/v1/transfers", transfer(bob.wallet_id, ann.wallet_id), key=key)

    assert (refused.status_code, accepted.status_code) == (404, 202)


def test_a_finished_job_is_given_again_as_it_ended(operator: Api, ann: Customer) -> None:
    key, body = str(uuid4()), deposit(ann.wallet_id)
    finished = operator.finished("/v1/deposits", body, key=key)

    without_wait = operator.post("/v1/deposits", body, key=key)
    with_wait = operator.post("/v1/deposits", body, key=key, headers={"Prefer": "wait=5"})

    assert without_wait.json() == with_wait.json() == finished
    assert (without_wait.status_code, with_wait.status_code) == (202, 200)
    assert without_wait.headers["etag"] == with_wait.headers["etag"]


def test_a_rejected_job_stays_rejected_when_it_is_sent_again(operator: Api, ann: Customer) -> None:
    key, body = str(uuid4()), deposit(ann.wallet_id, 10**15)
    first = operator.finished("/v1/withdrawals", body, key=key)

    assert first["error"]["code"] == "insufficient_funds"
    assert operator.finished("/v1/withdrawals", body, key=key) == first


def test_64_clients_at_once_make_one_job(operator: Api, sql: Sql, ann: Customer) -> None:
    key, body = str(uuid4()), deposit(ann.wallet_id)

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda _: operator.post("/v1/deposits", body, key=key), range(CLIENTS)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(sql("SELECT id FROM jobs WHERE idempotency_key = :key", key=key)) == 1


def test_64_clients_who_wait_at_once_get_one_finished_job(operator: Api, ann: Customer) -> None:
    key, body = str(uuid4()), deposit(ann.wallet_id)

    with ThreadPoolExecutor(CLIENTS) as pool:
        jobs = list(pool.map(lambda _: operator.finished("/v1/deposits", body, key=key), range(CLIENTS)))

    assert {job["state"] for job in jobs} == {"succeeded"}
    assert len({job["id"] for job in jobs}) == 1


def test_of_different_bodies_at_once_one_wins_and_the_others_hear_of_it(operator: Api, ann: Customer) -> None:
    key = str(uuid4())

    def post(amount: int) -> int:
        return operator.post("/v1/deposits", deposit(ann.wallet_id, amount), key=key).status_code

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = list(pool.map(post, range(1, CLIENTS + 1)))

    assert sorted(statuses) == [202] + [422] * (CLIENTS - 1)
