"""Registering, and reading who is registered."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from tests.api.clients import Api, Customer, fields, is_uuid7, log_in, problem, registration

TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


def test_a_registration_makes_a_customer_and_a_wallet(anyone: Api) -> None:
    body = registration(wallet={"currency": "USD", "type": "saving"})

    job = anyone.finished("/v1/customers", body)

    assert (job["kind"], job["state"], job["error"]) == ("customer.register", "succeeded", None)
    assert job["result"].keys() == {"customer_id", "wallet_id", "wallet_number"}
    assert is_uuid7(job["result"]["customer_id"])
    assert len(job["result"]["wallet_number"]) == 12


def test_a_registration_without_a_wallet_makes_a_customer_only(anyone: Api) -> None:
    body = registration()
    del body["wallet"], body["phone"], body["gender"]

    assert anyone.finished("/v1/customers", body)["result"].keys() == {"customer_id"}


def test_a_customer_reads_who_they_are(ann: Customer) -> None:
    me = ann.api.get("/v1/customers/me").json()

    assert datetime.strptime(me.pop("created_at"), TIMESTAMP)  # noqa: DTZ007 - the Z is in the format
    assert me == {
        "id": ann.id,
        "full_name": "Ann Uwase",
        "email": ann.registration["email"],
        "phone": "+250788123456",
        "gender": "F",
        "national_id_last4": ann.registration["national_id"][-4:],
        "state": "open",
    }


def test_a_customer_is_the_same_by_id_to_themselves_and_to_an_operator(ann: Customer, operator: Api) -> None:
    me = ann.api.get("/v1/customers/me").json()

    assert ann.api.get(f"/v1/customers/{ann.id}").json() == me
    assert operator.get(f"/v1/customers/{ann.id}").json() == me


def test_what_was_typed_is_kept_in_one_form(new_customer: Callable[..., Customer]) -> None:
    body = registration()
    typed = {
        "full_name": "  Marie   Claire ",
        "email": body["email"].upper(),
        "national_id": f"{body['national_id'][:4]} {body['national_id'][4:]}",
        "phone": "0788 123 456",
    }

    me = new_customer(**typed).api.get("/v1/customers/me").json()

    assert (me["full_name"], me["email"], me["phone"]) == ("Marie Claire", body["email"], "+250788123456")


@pytest.mark.parametrize(
    ("repeated", "code"),
    [
        (["email", "national_id"], "email_taken"),
        (["email"], "email_taken"),
        (["national_id"], "national_id_taken"),
    ],
    ids=str,
)
def test_who_is_registered_is_not_registered_again(anyone: Api, ann: Customer, repeated: list[str], code: str) -> None:
    job = anyone.finished("/v1/customers", registration(**{name: ann.registration[name] for name in repeated}))

    assert (job["state"], job["result"]) == ("rejected", None)
    assert job["error"].keys() == {"code", "message"}
    assert job["error"]["code"] == code


def test_another_spelling_does_not_make_another_person(anyone: Api, ann: Customer) -> None:
    email, national_id = ann.registration["email"].upper(), "-".join(ann.registration["national_id"])

    by_email = anyone.finished("/v1/customers", registration(email=email))
    by_national_id = anyone.finished("/v1/customers", registration(national_id=national_id))

    assert by_email["error"]["code"] == "email_taken"
    assert by_national_id["error"]["code"] == "national_id_taken"


def test_of_eight_registrations_at_once_with_one_national_id_one_succeeds(anyone: Api) -> None:
    national_id = registration()["national_id"]

    with ThreadPoolExecutor(8) as pool:
        jobs = list(
            pool.map(
                lambda _: anyone.finished("/v1/customers", registration(national_id=national_id)),
                range(8),
            )
        )

    assert sorted(job["state"] for job in jobs) == ["rejected"] * 7 + ["succeeded"]
    assert {job["error"]["code"] for job in jobs if job["error"]} == {"national_id_taken"}


def test_a_rejected_registration_does_not_change_who_was_there(anyone: Api, ann: Customer) -> None:
    body = registration(email=ann.registration["email"], password="a thief's password")
    anyone.finished("/v1/customers", body)

    problem(
        anyone.post("/v1/auth/login", {"email": body["email"], "password": body["password"]}),
        401,
        "invalid_credentials",
    )
    assert log_in(anyone, ann.registration["email"], ann.registration["password"])


def test_an_operator_finds_a_customer_by_email(operator: Api, ann: Customer) -> None:
    exact = operator.get("/v1/customers", email=ann.registration["email"]).json()
    shouted = operator.get("/v1/customers", email=ann.registration["email"].upper()).json()

    assert [one["id"] for one in exact["items"]] == [ann.id]
    assert shouted == exact
    assert exact["next_cursor"] is None


def test_nobody_has_an_unknown_email(operator: Api) -> None:
    assert operator.get("/v1/customers", email="nobody@example.com").json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("email", ["nobody", "\0", "x" * 255])
def test_a_filter_that_is_no_email_is_refused(operator: Api, email: str) -> None:
    assert fields(operator.get("/v1/customers", email=email)) == ["email"]


def test_customers_are_listed_newest_first(operator: Api, new_customer: Callable[..., Customer]) -> None:
    made = [new_customer().id for _ in range(3)]

    listed = [one["id"] for one in operator.get("/v1/customers", limit=3).json()["items"]]

    assert listed == made[::-1]
