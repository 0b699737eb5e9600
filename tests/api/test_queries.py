"""A query that could be meant otherwise than it would be taken is refused, and the parameter named."""

import pytest

from tests.api.clients import Api, Customer, fields, problem
from tests.api.conftest import NewKey

WALLETS, TRANSACTIONS, JOBS = "/v1/wallets", "/v1/transactions", "/v1/jobs"
AMBIGUOUS = [
    (WALLETS, "customer_id=null", "customer_id"),
    (WALLETS, "customer_id=NULL", "customer_id"),
    (WALLETS, "customer_id={id}&customer_id={id}", "customer_id"),
    (WALLETS, "limit=1&limit=200", "limit"),
    (WALLETS, "limit=1&%6Cimit=200", "limit"),
    (WALLETS, "cursor=&cursor=", "cursor"),
    (WALLETS, "customer_id=%00{id}", "customer_id"),
    (WALLETS, "limit=1%00", "limit"),
    (WALLETS, "%00=1", "query"),
    (WALLETS, "cursor=%FF", "query"),
    (WALLETS, "cursor=%ED%A0%80", "query"),
    (WALLETS, "&".join(["limit=1"] * 101), "query"),
    (WALLETS, "walet_id=1", "walet_id"),
    (WALLETS, "=1", "query"),
    (WALLETS, "Limit=1", "Limit"),
    (TRANSACTIONS, "since=2026-01-01T00:00:00Z", "since"),
    (TRANSACTIONS, "posted_from=2026-01-01T00:00:00Z", "posted_from"),
    (TRANSACTIONS, "wallet_id=null", "wallet_id"),
    (TRANSACTIONS, "kind=null", "kind"),
    (TRANSACTIONS, "from=null", "from"),
    (TRANSACTIONS, "from=1700000000", "from"),
    (TRANSACTIONS, "to=1700000000000", "to"),
    (TRANSACTIONS, "to=1e9", "to"),
    (TRANSACTIONS, "to=2026-01-01T00:00:00", "to"),
    (JOBS, "state=null", "state"),
    (JOBS, "state=queued&state=failed", "state"),
    (JOBS, "kind=null", "kind"),
]


@pytest.mark.parametrize(("path", "query", "field"), AMBIGUOUS)
def test_an_ambiguous_query_is_refused_by_name(ann: Customer, path: str, query: str, field: str) -> None:
    assert fields(ann.api.send("GET", f"{path}?{query.format(id=ann.id)}")) == [field]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (WALLETS, "limit=200"),
        (TRANSACTIONS, "from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00%2B02:00"),
        (JOBS, "state=queued&kind=transfer.create"),
    ],
)
def test_a_plain_one_is_not(ann: Customer, path: str, query: str) -> None:
    assert ann.api.send("GET", f"{path}?{query}").status_code == 200


def test_who_may_not_call_hears_that_first(anyone: Api, new_key: NewKey) -> None:
    problem(anyone.send("GET", f"{WALLETS}?limit=1&limit=2"), 401, "unauthenticated")
    problem(new_key("jobs:read").send("GET", f"{WALLETS}?limit=1&limit=2"), 403, "forbidden")


def test_a_route_that_counts_before_it_reads_is_as_strict(operator: Api) -> None:
    answer = operator.send("POST", "/v1/transfers/bulk?dry=1&dry=2", json={})
    assert problem(answer, 400, "invalid_request")["errors"] == [{"field": "dry", "message": "given more than once"}]
