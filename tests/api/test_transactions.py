"""Money in, out and across: what is posted, and what the rules refuse, in the order in which they apply."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest

import domain.wallets
from domain.wallets import SystemWallet
from tests.api.clients import Api, Customer, deposit, fields, is_uuid7, problem, transfer
from tests.api.conftest import Sql

TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%fZ"
FUNDS = 1_000

NewWallet = Callable[..., str]
History = tuple[Customer, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def new_wallet(operator: Api, ann: Customer, sql: Sql) -> NewWallet:
    """Open a wallet in RWF that holds FUNDS; freeze it, close it, or change its row as only the owner can."""

    def make(verb: str = "", /, **columns: object) -> str:
        opened = operator.succeeded("/v1/wallets", {"currency": "RWF", "customer_id": ann.id})
        wallet_id = str(opened["wallet_id"])
        if verb != "close":
            operator.succeeded("/v1/deposits", deposit(wallet_id, FUNDS))
        if verb:
            operator.succeeded(f"/v1/wallets/{wallet_id}/{verb}", {})
        for name, value in columns.items():
            sql(f"UPDATE wallets SET {name} = :value WHERE id = :id", value=value, id=UUID(wallet_id))  # noqa: S608 - a column
        return wallet_id

    return make


@pytest.fixture(scope="module")
def wallets(new_wallet: NewWallet) -> dict[str, str]:
    """Return wallets by what is the matter with them."""
    return {
        "open": new_wallet(),
        "other": new_wallet(),
        "closed": new_wallet("close"),
        "closed too": new_wallet("close"),
        "frozen": new_wallet("freeze"),
        "frozen too": new_wallet("freeze"),
        "full": new_wallet(balance_max=FUNDS),
        "unknown": str(uuid4()),
        "unknown too": str(uuid4()),
        "cash in": str(domain.wallets.system_id(SystemWallet.CASH_IN, "RWF")),
        "cash out": str(domain.wallets.system_id(SystemWallet.CASH_OUT, "RWF")),
    }


# Each row breaks its own rule and, where that can be, all rules after it.
TRANSFERS = [
    ("unknown", "unknown too", "USD", FUNDS + 1, "source_not_found"),
    ("cash in", "unknown", "USD", FUNDS + 1, "source_not_found"),
    ("unknown", "unknown", "USD", FUNDS + 1, "source_not_found"),
    ("closed", "unknown", "USD", FUNDS + 1, "destination_not_found"),
    ("closed", "cash out", "USD", FUNDS + 1, "destination_not_found"),
    ("closed", "closed", "USD", FUNDS + 1, "same_wallet"),
    ("frozen", "frozen", "USD", FUNDS + 1, "same_wallet"),
    ("closed", "closed too", "USD", FUNDS + 1, "source_closed"),
    ("closed", "frozen", "USD", FUNDS + 1, "source_closed"),
    ("frozen", "closed", "USD", FUNDS + 1, "destination_closed"),
    ("frozen", "frozen too", "USD", FUNDS + 1, "source_frozen"),
    ("open", "frozen", "USD", FUNDS + 1, "destination_frozen"),
    ("open", "full", "USD", FUNDS + 1, "currency_mismatch"),
    ("open", "full", "RWF", FUNDS + 1, "insufficient_funds"),
    ("open", "full", "RWF", 1, "balance_limit_exceeded"),
]

DEPOSITS = [
    ("unknown", "USD", "destination_not_found"),
    ("cash out", "USD", "destination_not_found"),
    ("closed", "USD", "destination_closed"),
    ("frozen", "USD", "destination_frozen"),
    ("full", "USD", "currency_mismatch"),
    ("full", "RWF", "balance_limit_exceeded"),
]

WITHDRAWALS = [
    ("unknown", "USD", "source_not_found"),
    ("cash in", "USD", "source_not_found"),
    ("closed", "USD", "source_closed"),
    ("frozen", "USD", "source_frozen"),
    ("open", "USD", "currency_mismatch"),
    ("open", "RWF", "insufficient_funds"),
]


def refused(job: dict[str, Any]) -> str:
    """Return why a job was rejected, after checking that it says so and nothing else."""
    assert (job["state"], job["result"]) == ("rejected", None)
    assert job["finished_at"] is not None
    assert job["error"].keys() == {"code", "message"}
    return str(job["error"]["code"])


@pytest.mark.parametrize("row", TRANSFERS, ids=lambda row: f"{row[0]} to {row[1]}: {row[4]}")
def test_a_transfer_is_rejected_by_the_first_rule_it_breaks(
    operator: Api, wallets: dict[str, str], row: tuple[str, str, str, int, str]
) -> None:
    source, destination, currency, amount, code = row
    body = transfer(wallets[source], wallets[destination], amount, currency=currency)

    assert refused(operator.finished("/v1/transfers", body)) == code


@pytest.mark.parametrize(("wallet", "currency", "code"), DEPOSITS)
def test_a_deposit_is_rejected_by_the_first_rule_it_breaks(
    operator: Api, wallets: dict[str, str], *, wallet: str, currency: str, code: str
) -> None:
    body = deposit(wallets[wallet], 1, currency=currency)

    assert refused(operator.finished("/v1/deposits", body)) == code


@pytest.mark.parametrize(("wallet", "currency", "code"), WITHDRAWALS)
def test_a_withdrawal_is_rejected_by_the_first_rule_it_breaks(
    operator: Api, wallets: dict[str, str], *, wallet: str, currency: str, code: str
) -> None:
    body = deposit(wallets[wallet], FUNDS + 1, currency=currency)

    assert refused(operator.finished("/v1/withdrawals", body)) == code


def test_a_number_that_no_wallet_has_is_rejected(operator: Api, wallets: dict[str, str]) -> None:
    body = transfer(wallets["open"], "", destination_number=domain.wallets.number(9_999_999))
    del body["destination_wallet_id"]

    assert refused(operator.finished("/v1/transfers", body)) == "destination_not_found"


def test_a_rejected_movement_leaves_no_trace(operator: Api, new_wallet: NewWallet) -> None:
    wallet_id = new_wallet()
    before = operator.get(f"/v1/wallets/{wallet_id}").json()

    job = operator.finished("/v1/withdrawals", deposit(wallet_id, FUNDS + 1))

    assert operator.get(f"/v1/wallets/{wallet_id}").json() == before
    problem(operator.get(f"/v1/transactions/{job['id']}"), 404, "not_found")


def test_held_money_is_not_available(operator: Api, new_wallet: NewWallet) -> None:
    wallet_id = new_wallet(held=400)

    assert operator.get(f"/v1/wallets/{wallet_id}").json()["available"] == 600
    assert refused(operator.finished("/v1/withdrawals", deposit(wallet_id, 601))) == "insufficient_funds"
    assert operator.succeeded("/v1/withdrawals", deposit(wallet_id, 600))


@pytest.mark.parametrize(
    ("path", "kind", "side"),
    [
        ("/v1/deposits", "deposit", "destination_wallet_id"),
        ("/v1/withdrawals", "withdrawal", "source_wallet_id"),
    ],
)
def test_money_in_or_out_is_posted(operator: Api, ann: Customer, *, path: str, kind: str, side: str) -> None:
    job = operator.finished(path, deposit(ann.wallet_id, 5, description="Desk", external_reference="bank-7"))

    posted = operator.get(f"/v1/transactions/{job['result']['transaction_id']}").json()
    assert (job["kind"], job["state"], job["result"].keys()) == (f"{kind}.create", "succeeded", {"transaction_id"})
    assert posted | {"posted_at": ""} == {
        "id": job["result"]["transaction_id"],
        "kind": kind,
        "amount": 5,
        "currency": "RWF",
        "source_wallet_id": None,
        "destination_wallet_id": None,
        side: ann.wallet_id,
        "description": "Desk",
        "external_reference": "bank-7",
        "metadata": {},
        "job_id": job["id"],
        "posted_at": "",
    }


def test_a_transfer_is_posted(ann: Customer, bob: Customer) -> None:
    said = {"description": "Rent", "metadata": {"month": "November", "note": "Ünïcødé 💸"}}

    job = ann.api.finished("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id, 7, **said))

    posted = bob.api.get(f"/v1/transactions/{job['result']['transaction_id']}").json()
    assert is_uuid7(posted["id"])
    assert datetime.strptime(posted.pop("posted_at"), TIMESTAMP)  # noqa: DTZ007 - the Z is in the format
    assert posted == said | {
        "id": job["result"]["transaction_id"],
        "kind": "transfer",
        "amount": 7,
        "currency": "RWF",
        "source_wallet_id": ann.wallet_id,
        "destination_wallet_id": bob.wallet_id,
        "external_reference": None,
        "job_id": job["id"],
    }


@pytest.mark.parametrize("written", ["{0}", "{1} {2} {3}", "{1}-{2}-{3}", " {0} "])
def test_a_wallet_is_found_by_its_number_however_it_is_written(ann: Customer, bob: Customer, written: str) -> None:
    number = bob.wallet_number
    body = transfer(ann.wallet_id, "", destination_number=written.format(number, number[:4], number[4:8], number[8:]))
    del body["destination_wallet_id"]

    result = ann.api.succeeded("/v1/transfers", body)

    posted = ann.api.get(f"/v1/transactions/{result['transaction_id']}").json()
    assert posted["destination_wallet_id"] == bob.wallet_id


def test_money_moves_and_none_is_made(ann: Customer, bob: Customer) -> None:
    def balances() -> list[int]:
        return [one.api.get(f"/v1/wallets/{one.wallet_id}").json()["balance"] for one in (ann, bob)]

    before = balances()
    ann.api.succeeded("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id, 9))

    assert balances() == [before[0] - 9, before[1] + 9]


def test_the_largest_amount_is_moved_to_the_unit(operator: Api, new_customer: Callable[..., Customer]) -> None:
    customer = new_customer()

    operator.succeeded("/v1/deposits", deposit(customer.wallet_id, 10**15))

    assert customer.api.get(f"/v1/wallets/{customer.wallet_id}").json()["balance"] == 10**15
    assert refused(operator.finished("/v1/deposits", deposit(customer.wallet_id, 1))) == "balance_limit_exceeded"


@pytest.fixture(scope="module")
def history(operator: Api, new_customer: Callable[..., Customer]) -> History:
    """Make a customer with two wallets and a deposit, a transfer between them and a withdrawal, oldest first."""
    customer = new_customer()
    second = customer.api.succeeded("/v1/wallets", {"currency": "RWF"})["wallet_id"]
    made = [
        operator.succeeded("/v1/deposits", deposit(customer.wallet_id, 100)),
        customer.api.succeeded("/v1/transfers", transfer(customer.wallet_id, second, 40)),
        customer.api.succeeded("/v1/withdrawals", deposit(customer.wallet_id, 10)),
    ]
    return customer, [customer.api.get(f"/v1/transactions/{one['transaction_id']}").json() for one in made]


def test_transactions_are_listed_once_each_and_newest_first(history: History) -> None:
    customer, made = history

    assert customer.api.get("/v1/transactions").json() == {"items": made[::-1], "next_cursor": None}


@pytest.mark.parametrize(("kind", "place"), [("deposit", 0), ("transfer", 1), ("withdrawal", 2)])
def test_transactions_are_filtered_by_kind(history: History, kind: str, place: int) -> None:
    customer, made = history

    assert customer.api.get("/v1/transactions", kind=kind).json()["items"] == [made[place]]


def test_transactions_are_filtered_by_wallet(history: History, operator: Api) -> None:
    customer, made = history
    second = made[1]["destination_wallet_id"]

    assert customer.api.get("/v1/transactions", wallet_id=second).json()["items"] == [made[1]]
    assert operator.get("/v1/transactions", wallet_id=customer.wallet_id).json()["items"] == made[::-1]


def test_a_time_span_includes_its_start_and_not_its_end(history: History) -> None:
    customer, made = history
    first, second, third = (one["posted_at"] for one in made)

    def between(**query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = customer.api.get("/v1/transactions", query).json()["items"]
        return found[::-1]

    assert between(**{"from": second}) == made[1:]
    assert between(to=second) == made[:1]
    assert between(**{"from": first, "to": third}) == made[:2]
    assert between(**{"from": third, "to": first}) == []


def test_a_time_may_be_said_in_any_zone(history: History) -> None:
    customer, made = history
    in_kigali = datetime.fromisoformat(made[1]["posted_at"]).astimezone(timezone(timedelta(hours=2)))

    found = customer.api.get("/v1/transactions", {"from": in_kigali.isoformat()}).json()["items"]

    assert found == made[:0:-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"kind": "fee"}, "kind"),
        ({"wallet_id": "mine"}, "wallet_id"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-22"}, "from"),
        ({"from": "2026-11-22T10:30:00"}, "from"),
        ({"to": "2026-11-22T10:30:00"}, "to"),
        ({"to": "2026-13-22T10:30:00Z"}, "to"),
        ({"to": ""}, "to"),
    ],
    ids=str,
)
def test_a_malformed_filter_is_named(ann: Customer, query: dict[str, str], field: str) -> None:
    assert fields(ann.api.get("/v1/transactions", query)) == [field]
