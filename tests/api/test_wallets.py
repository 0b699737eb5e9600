"""Opening wallets, their balances, and statements whose lines add up."""

from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from uuid import uuid4

import pytest

import domain.wallets
from tests.api.clients import Api, Customer, deposit, fields, is_uuid7, problem, transfer

TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


def test_a_customer_opens_a_wallet(ann: Customer) -> None:
    job = ann.api.finished("/v1/wallets", {"currency": "KES", "type": "saving"})

    assert (job["kind"], job["state"]) == ("wallet.open", "succeeded")
    assert job["result"].keys() == {"wallet_id", "number"}
    assert domain.wallets.parse_number(job["result"]["number"], "number") == job["result"]["number"]


def test_a_wallet_shows_its_fields_and_no_others(new_customer: Callable[..., Customer]) -> None:
    customer = new_customer(700)

    wallet = customer.api.get(f"/v1/wallets/{customer.wallet_id}").json()

    assert datetime.strptime(wallet.pop("created_at"), TIMESTAMP)  # noqa: DTZ007 - the Z is in the format
    assert is_uuid7(wallet["id"])
    assert wallet == {
        "id": customer.wallet_id,
        "number": customer.wallet_number,
        "customer_id": customer.id,
        "currency": "RWF",
        "type": "personal",
        "state": "open",
        "balance": 700,
        "held": 0,
        "available": 700,
    }


@pytest.mark.parametrize("kind", ["personal", "saving", "loan"])
def test_a_customer_may_have_several_wallets_of_a_kind_and_currency(ann: Customer, kind: str) -> None:
    opened = [ann.api.succeeded("/v1/wallets", {"currency": "USD", "type": kind}) for _ in range(2)]

    assert len({one["wallet_id"] for one in opened}) == len({one["number"] for one in opened}) == 2
    assert [ann.api.get(f"/v1/wallets/{one['wallet_id']}").json()["type"] for one in opened] == [kind, kind]


def test_an_operator_opens_a_wallet_for_a_customer(operator: Api, ann: Customer) -> None:
    opened = operator.succeeded("/v1/wallets", {"currency": "EUR", "customer_id": ann.id})

    assert ann.api.get(f"/v1/wallets/{opened['wallet_id']}").json()["customer_id"] == ann.id


def test_a_customer_may_say_that_the_wallet_is_their_own(ann: Customer) -> None:
    assert ann.api.succeeded("/v1/wallets", {"currency": "EUR", "customer_id": ann.id})


def test_an_operator_says_for_whom(operator: Api) -> None:
    assert fields(operator.post("/v1/wallets", {"currency": "EUR"})) == ["customer_id"]


def test_a_wallet_for_nobody_is_rejected(operator: Api) -> None:
    job = operator.finished("/v1/wallets", {"currency": "EUR", "customer_id": str(uuid4())})

    assert (job["state"], job["error"]["code"]) == ("rejected", "customer_not_found")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"currency": "eur"}, "currency"),
        ({"currency": None}, "currency"),
        ({"type": "joint"}, "type"),
        ({"type": "cash_in"}, "type"),
        ({"type": None}, "type"),
        ({"customer_id": "me"}, "customer_id"),
        ({"balance": 5}, "balance"),
        ({"number": "381966011308"}, "number"),
    ],
    ids=str,
)
def test_a_malformed_opening_names_its_field(ann: Customer, changes: dict[str, object], field: str) -> None:
    assert fields(ann.api.post("/v1/wallets", {"currency": "EUR"} | changes)) == [field]


def test_wallets_are_listed_newest_first(new_customer: Callable[..., Customer]) -> None:
    customer = new_customer()
    second, third = (customer.api.succeeded("/v1/wallets", {"currency": "USD"})["wallet_id"] for _ in range(2))

    listed = [one["id"] for one in customer.api.get("/v1/wallets").json()["items"]]

    assert listed == [third, second, customer.wallet_id]


def test_an_operator_lists_the_wallets_of_one_customer(operator: Api, bob: Customer) -> None:
    listed = operator.get("/v1/wallets", customer_id=bob.id).json()["items"]

    assert {one["customer_id"] for one in listed} == {bob.id}
    assert listed == bob.api.get("/v1/wallets").json()["items"]


def test_the_systems_own_wallets_are_not_shown(operator: Api) -> None:
    cash_in = domain.wallets.system_id(domain.wallets.SystemWallet.CASH_IN, "RWF")

    problem(operator.get(f"/v1/wallets/{cash_in}"), 404, "not_found")
    problem(operator.get(f"/v1/wallets/{cash_in}/entries"), 404, "not_found")


@pytest.fixture(scope="module")
def statement(operator: Api, new_customer: Callable[..., Customer]) -> Customer:
    """Make a customer with five lines: in, out to a wallet, in from it, out, and in again."""
    customer, other = new_customer(), new_customer(1_000)
    own, theirs = customer.wallet_id, other.wallet_id
    operator.succeeded("/v1/deposits", deposit(own, 500, description="Salary"))
    customer.api.succeeded("/v1/transfers", transfer(own, theirs, 200, description="Rent"))
    other.api.succeeded("/v1/transfers", transfer(theirs, own, 50))
    customer.api.succeeded("/v1/withdrawals", deposit(own, 100))
    operator.succeeded("/v1/deposits", deposit(own, 1))
    return customer


def test_a_statement_shows_signed_amounts_and_the_balance_after_each(statement: Customer) -> None:
    lines = statement.api.get(f"/v1/wallets/{statement.wallet_id}/entries").json()["items"]

    assert [(one["kind"], one["amount"], one["balance_after"], one["description"]) for one in lines] == [
        ("deposit", 1, 251, None),
        ("withdrawal", -100, 250, None),
        ("transfer", 50, 350, None),
        ("transfer", -200, 300, "Rent"),
        ("deposit", 500, 500, "Salary"),
    ]


def test_a_statements_line_has_the_fields_of_the_contract(statement: Customer) -> None:
    [line] = statement.api.get(f"/v1/wallets/{statement.wallet_id}/entries", limit=1).json()["items"]

    assert line.keys() == {
        "transaction_id",
        "kind",
        "amount",
        "balance_after",
        "counterparty_number",
        "description",
        "posted_at",
    }
    assert is_uuid7(line["transaction_id"])
    assert datetime.strptime(line["posted_at"], TIMESTAMP)  # noqa: DTZ007 - the Z is in the format


def test_a_statement_names_the_other_wallet_of_a_transfer_only(statement: Customer, operator: Api) -> None:
    lines = statement.api.get(f"/v1/wallets/{statement.wallet_id}/entries").json()["items"]
    paid = operator.get(f"/v1/transactions/{lines[3]['transaction_id']}").json()
    other = operator.get(f"/v1/wallets/{paid['destination_wallet_id']}").json()["number"]

    assert [one["counterparty_number"] for one in lines] == [None, None, other, other, None]


def test_each_balance_is_the_one_before_plus_the_amount(statement: Customer) -> None:
    pages = statement.api.pages(f"/v1/wallets/{statement.wallet_id}/entries", limit=2)
    lines = [line for page in pages for line in page]

    assert [len(page) for page in pages] == [2, 2, 1]
    assert all(newer["balance_after"] == older["balance_after"] + newer["amount"] for newer, older in pairwise(lines))
    assert statement.api.get(f"/v1/wallets/{statement.wallet_id}").json()["balance"] == lines[0]["balance_after"]


def test_a_wallet_without_a_history_has_an_empty_statement(new_customer: Callable[..., Customer]) -> None:
    customer = new_customer()

    page = customer.api.get(f"/v1/wallets/{customer.wallet_id}/entries").json()

    assert page == {"items": [], "next_cursor": None}
