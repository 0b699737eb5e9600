"""Lists: bounded pages, newest first, each item once, whatever is added meanwhile."""

import base64
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from api.errors import Invalid
from api.pages import LIMIT_MAX, Page, before_id, before_sequence, page
from tests.api.clients import Api, Customer, deposit, fields, registration

LISTS = ("/v1/customers", "/v1/wallets", "/v1/transactions", "/v1/jobs", "/v1/wallets/{wallet_id}/entries")
ITEMS = 7


def in_base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", ["0", "-1", "201", "1000000", "99999999999999999999", "ten", "", "1.5", "true"])
def test_a_limit_beyond_1_to_200_is_refused(operator: Api, ann: Customer, path: str, limit: str) -> None:
    assert fields(operator.get(path.format(wallet_id=ann.wallet_id), limit=limit)) == ["limit"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 200])
def test_a_limit_of_1_to_200_is_kept(operator: Api, ann: Customer, path: str, limit: int) -> None:
    response = operator.get(path.format(wallet_id=ann.wallet_id), limit=limit)

    assert response.status_code == 200
    assert 1 <= len(response.json()["items"]) <= limit


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "cursor",
    ["", "0", "next", "%%%", "é", "\0", in_base64("-1"), in_base64("0"), in_base64(str(2**63)), in_base64("' OR 1=1")],
)
def test_a_cursor_that_nobody_gave_out_is_refused(operator: Api, ann: Customer, path: str, cursor: str) -> None:
    assert fields(operator.get(path.format(wallet_id=ann.wallet_id), cursor=cursor)) == ["cursor"]


@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_of_a_hundred_and_one_characters_is_refused(operator: Api, ann: Customer, path: str) -> None:
    assert fields(operator.get(path.format(wallet_id=ann.wallet_id), cursor="x" * 101)) == ["cursor"]


def test_without_a_limit_a_page_has_50(operator: Api, new_customer: Callable[..., Customer]) -> None:
    customer = new_customer()
    for _ in range(51):
        operator.post("/v1/deposits", deposit(customer.wallet_id))
    operator.succeeded("/v1/deposits", deposit(customer.wallet_id))

    first = operator.get(f"/v1/wallets/{customer.wallet_id}/entries").json()

    assert len(first["items"]) == 50
    assert first["next_cursor"]


def adders(operator: Api, anyone: Api, customer: Customer) -> dict[str, Callable[[], Any]]:
    """Return what adds an item to each list."""
    return {
        "/v1/customers": lambda: anyone.succeeded("/v1/customers", registration()),
        "/v1/wallets": lambda: customer.api.succeeded("/v1/wallets", {"currency": "RWF"}),
        "/v1/transactions": lambda: operator.succeeded("/v1/deposits", deposit(customer.wallet_id)),
        "/v1/jobs": lambda: customer.api.finished("/v1/withdrawals", deposit(customer.wallet_id)),
        "/v1/wallets/{wallet_id}/entries": lambda: operator.succeeded("/v1/deposits", deposit(customer.wallet_id)),
    }


@pytest.mark.parametrize("path", LISTS)
def test_pages_are_complete_and_repeat_nothing_while_items_are_added(
    operator: Api, anyone: Api, new_customer: Callable[..., Customer], path: str
) -> None:
    customer = new_customer(100)
    reader = operator if path == "/v1/customers" else customer.api
    add, address = adders(operator, anyone, customer)[path], path.format(wallet_id=customer.wallet_id)
    for _ in range(ITEMS):
        add()
    before = items(reader.pages(address, limit=200))

    read = []
    for one in reader.each_page(address, limit=max(3, len(before) // 3)):
        read.append(one)
        add()

    assert items(read) == before
    assert len({identity(one) for one in before}) == len(before) >= ITEMS


@pytest.mark.parametrize("path", LISTS)
def test_the_last_page_says_that_it_is_the_last(new_customer: Callable[..., Customer], path: str) -> None:
    customer = new_customer(100)
    customer.api.finished("/v1/wallets", {"currency": "RWF"})

    pages = customer.api.pages(path.format(wallet_id=customer.wallet_id), limit=1)

    assert {len(one) for one in pages} == {1}


def items(pages: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [one for page in pages for one in page]


def identity(item: dict[str, Any]) -> str:
    return str(item.get("id") or item["transaction_id"])


def test_one_more_than_asked_for_means_that_there_is_a_next_page() -> None:
    found = [uuid7() for _ in range(3)]

    assert page(found, 3, key=lambda one: one) == Page(items=found, next_cursor=None)
    assert page(found, 2, key=lambda one: one).items == found[:2]
    assert before_id(page(found, 2, key=lambda one: one).next_cursor) == found[1]


def test_nothing_found_is_an_empty_page() -> None:
    assert page([], LIMIT_MAX, key=lambda one: one) == Page(items=[], next_cursor=None)


def test_a_cursor_leads_to_where_the_page_ended() -> None:
    place = uuid4()

    assert before_id(page([place, place], 1, key=lambda one: one).next_cursor) == place
    assert before_sequence(page([9, 8], 1, key=lambda one: one).next_cursor) == 9


def test_without_a_cursor_a_list_starts_at_its_head() -> None:
    assert before_id(None) is None
    assert before_sequence(None) is None


def test_a_cursor_of_another_kind_of_list_is_refused() -> None:
    of_entries, of_jobs = (page([one, one], 1, key=lambda one: one).next_cursor for one in (7, UUID(int=7)))

    with pytest.raises(Invalid):
        before_id(of_entries)
    with pytest.raises(Invalid):
        before_sequence(of_jobs)
