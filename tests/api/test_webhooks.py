"""Webhook endpoints: made, read, changed and removed, each by its own API key. What is sent: test_deliveries.py."""

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from local.stack import Stack
from tests import addresses
from tests.api.clients import Api, Integrator, fields, is_uuid7, problem
from tests.api.conftest import NewKey
from tests.api.processes import serving

ENDPOINTS = "/v1/webhook-endpoints"
URL = "https://hooks.example.com/tekana"
ENDPOINTS_MAX = 20
SHOWN = {"id", "url", "event_types", "description", "enabled", "disabled_reason", "failing_since", "created_at"}
NOBODY = str(UUID(int=0))
OFF = {"url": URL, "enabled": False}  # Nothing is sent to it.


@pytest.fixture(scope="module")
def key(new_key: NewKey) -> Api:
    return new_key("webhooks:read", "webhooks:write")


@pytest.fixture
def endpoint(key: Api) -> Iterator[dict[str, Any]]:
    """An endpoint that is switched off, without its secret."""
    made = created(key, OFF | {"description": "mine"})
    del made["secret"]
    yield made
    key.delete(f"{ENDPOINTS}/{made['id']}")


def created(key: Api, body: dict[str, Any]) -> dict[str, Any]:
    response = key.post(ENDPOINTS, body)
    assert response.status_code == 201, response.text
    result: dict[str, Any] = response.json()
    return result


def why(response: httpx2.Response) -> tuple[str, str]:
    """Return the field that a 400 names, and the rule."""
    [error] = problem(response, 400, "invalid_request")["errors"]
    return error["field"], error["message"]


def test_a_new_endpoint_is_answered_with_its_address_and_its_secret(key: Api) -> None:
    response = key.post(ENDPOINTS, {"url": URL, "enabled": False})

    made = response.json()
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    assert response.headers["location"] == f"{ENDPOINTS}/{made['id']}"
    assert made.keys() == {*SHOWN, "secret"}
    assert is_uuid7(made["id"])


def test_what_is_not_said_of_a_new_endpoint_has_its_default(new_key: NewKey) -> None:
    made = created(new_key("webhooks:write"), {"url": URL})

    assert (made["event_types"], made["description"], made["enabled"]) == (["*"], None, True)
    assert (made["disabled_reason"], made["failing_since"]) == (None, None)


def test_an_endpoint_may_be_made_switched_off(key: Api) -> None:
    made = created(key, {"url": URL, "enabled": False})

    assert (made["enabled"], made["disabled_reason"]) == (False, "disabled_by_owner")


def test_a_secret_is_32_random_bytes_as_receivers_libraries_read_them(key: Api) -> None:
    secrets = [created(key, OFF)["secret"] for _ in range(2)]

    assert {len(base64.b64decode(one.removeprefix("whsec_"), validate=True)) for one in secrets} == {32}
    assert all(one.startswith("whsec_") for one in secrets)
    assert len(set(secrets)) == 2


def test_a_secret_is_shown_once_and_never_again(key: Api) -> None:
    made = created(key, OFF)
    path = f"{ENDPOINTS}/{made['id']}"

    later = [
        key.get(path),
        key.patch(path, {"description": "d"}),
        key.get(ENDPOINTS),
        key.get("/v1/webhook-deliveries"),
    ]

    assert {one.status_code for one in later} == {200}
    assert [one.url for one in later if made["secret"].removeprefix("whsec_") in one.text] == []
    assert later[0].json().keys() == SHOWN


def test_an_endpoint_is_read_as_it_was_made(key: Api, endpoint: dict[str, Any]) -> None:
    assert key.get(f"{ENDPOINTS}/{endpoint['id']}").json() == endpoint
    assert endpoint in key.get(ENDPOINTS).json()["items"]


@pytest.mark.parametrize(("url", "expected"), addresses.LOOPBACK_URLS)
def test_a_developers_own_machine_is_called_where_that_is_allowed(
    key: Api, endpoint: dict[str, Any], url: str, expected: str
) -> None:
    assert key.patch(f"{ENDPOINTS}/{endpoint['id']}", {"url": url}).json()["url"] == expected


@pytest.mark.parametrize(("url", "expected"), addresses.GOOD_URLS)
def test_a_url_is_kept_as_it_will_be_requested(key: Api, endpoint: dict[str, Any], url: str, expected: str) -> None:
    assert key.patch(f"{ENDPOINTS}/{endpoint['id']}", {"url": url}).json()["url"] == expected


@pytest.mark.parametrize("url", [url for url, _ in addresses.FORBIDDEN_URLS])
def test_a_url_that_leads_elsewhere_is_refused(key: Api, url: str) -> None:
    assert fields(key.post(ENDPOINTS, {"url": url})) == ["url"]


@pytest.mark.parametrize(
    "url", [f"https://{addresses.host(address)}/" for address, _ in addresses.NEVER_ALLOWED_ADDRESSES]
)
def test_an_address_that_is_not_public_is_refused(key: Api, url: str) -> None:
    assert fields(key.post(ENDPOINTS, {"url": url})) == ["url"]


URL_RULES = [
    ("http://hooks.example.com/", "begins with https://"),
    ("https://hooks.example.com:22/", "443, 8443"),
    ("https://10.0.0.1/", "private"),
    ("https://169.254.169.254/latest/meta-data/", "link_local"),
    ("https://hooks/", "public name"),
    ("https://user:secret@hooks.example.com/", "no user"),
    ("https://2130706433/", "four decimal numbers"),
    ("hooks.example.com", "absolute"),
    ("https://hooks.example.com/ü", "visible ASCII"),
]


@pytest.mark.parametrize(("url", "rule"), URL_RULES)
def test_a_refused_url_is_told_the_rule(key: Api, endpoint: dict[str, Any], url: str, rule: str) -> None:
    answers = [key.post(ENDPOINTS, {"url": url}), key.patch(f"{ENDPOINTS}/{endpoint['id']}", {"url": url})]

    assert [(field, rule in message) for field, message in map(why, answers)] == [("url", True)] * 2
    assert key.get(f"{ENDPOINTS}/{endpoint['id']}").json() == endpoint


BAD_CHANGES: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"url": None}, ("url", "Expected str, got null")),
    ({"url": 5}, ("url", "Expected str, got int")),
    ({"url": ""}, ("url", "length >= 1")),
    ({"url": "https://example.com/" + "a" * 2_048}, ("url", "length <= 2048")),
    ({"url": "https://example.com/\0"}, ("url", "U+0000")),
    ({"event_types": None}, ("event_types", "Expected array, got null")),
    ({"event_types": "transfer.*"}, ("event_types", "Expected array, got str")),
    ({"event_types": []}, ("event_types", "length >= 1")),
    ({"event_types": ["*"] * 51}, ("event_types", "length <= 50")),
    ({"event_types": [5]}, ("event_types[0]", "Expected str, got int")),
    ({"event_types": [""]}, ("event_types[0]", "length >= 1")),
    ({"event_types": ["x" * 65]}, ("event_types[0]", "length <= 64")),
    ({"event_types": ["transfer.*", "transfer.lost"]}, ("event_types", "'transfer.lost' is not an event type")),
    ({"event_types": ["transfer"]}, ("event_types", "is not an event type")),
    ({"event_types": ["transfer."]}, ("event_types", "is not an event type")),
    ({"event_types": ["*.succeeded"]}, ("event_types", "is not an event type")),
    ({"event_types": ["tr*"]}, ("event_types", "is not an event type")),
    ({"event_types": ["**"]}, ("event_types", "is not an event type")),
    ({"event_types": ["Transfer.Succeeded"]}, ("event_types", "is not an event type")),
    ({"event_types": ["transfer.succeeded "]}, ("event_types", "is not an event type")),
    ({"description": "d" * 256}, ("description", "length <= 255")),
    ({"description": 5}, ("description", "Expected str | null, got int")),
    ({"description": "a\0b"}, ("description", "U+0000")),
    ({"enabled": None}, ("enabled", "Expected bool, got null")),
    ({"enabled": "true"}, ("enabled", "Expected bool, got str")),
    ({"enabled": 1}, ("enabled", "Expected bool, got int")),
    ({"secret": "whsec_mine"}, ("secret", "unknown field")),
    ({"id": NOBODY}, ("id", "unknown field")),
    ({"key_id": NOBODY}, ("key_id", "unknown field")),
    ({"disabled_reason": None}, ("disabled_reason", "unknown field")),
    ({"__proto__": {}}, ("__proto__", "unknown field")),
]


@pytest.mark.parametrize(("changes", "refusal"), BAD_CHANGES, ids=lambda value: str(value)[:48])
def test_a_field_that_breaks_its_rule_is_named_with_the_rule(
    key: Api, endpoint: dict[str, Any], changes: dict[str, Any], refusal: tuple[str, str]
) -> None:
    field, rule = refusal
    answers = [key.post(ENDPOINTS, OFF | changes), key.patch(f"{ENDPOINTS}/{endpoint['id']}", changes)]

    assert [(name, rule in message) for name, message in map(why, answers)] == [(field, True)] * 2
    assert key.get(f"{ENDPOINTS}/{endpoint['id']}").json() == endpoint


def test_a_new_endpoint_needs_a_url(key: Api) -> None:
    assert why(key.post(ENDPOINTS, {"enabled": False})) == ("url", "required")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"enabled": true, "enabled": false}', b"{"])
def test_a_change_is_a_json_object(key: Api, endpoint: dict[str, Any], body: bytes) -> None:
    assert fields(key.patch(f"{ENDPOINTS}/{endpoint['id']}", body)) in (["body"], ["enabled"])


@pytest.mark.parametrize("media_type", ["text/plain", "application/merge-patch+json", ""])
def test_a_change_of_another_type_is_unsupported(key: Api, endpoint: dict[str, Any], media_type: str) -> None:
    response = key.patch(f"{ENDPOINTS}/{endpoint['id']}", {}, headers={"Content-Type": media_type})

    problem(response, 415, "unsupported_media_type")


CHANGES: list[dict[str, Any]] = [
    {},
    {"url": "https://other.example.com/"},
    {"event_types": ["transfer.*", "deposit.succeeded"]},
    {"event_types": ["webhook_endpoint.disabled", "*"]},
    {"description": "ä" * 255},
    {"description": ""},
    {"description": None},
    {"url": "https://other.example.com/", "description": None, "event_types": ["job.*"]},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_change_is_what_is_given_and_nothing_else(key: Api, endpoint: dict[str, Any], change: dict[str, Any]) -> None:
    response = key.patch(f"{ENDPOINTS}/{endpoint['id']}", change)

    assert (response.status_code, response.json()) == (200, endpoint | change)
    assert key.get(f"{ENDPOINTS}/{endpoint['id']}").json() == endpoint | change


def test_an_endpoint_that_is_switched_on_again_has_no_reason_any_more(key: Api, endpoint: dict[str, Any]) -> None:
    path = f"{ENDPOINTS}/{endpoint['id']}"

    on, off = (key.patch(path, {"enabled": enabled}).json() for enabled in (True, False))

    assert on == endpoint | {"enabled": True, "disabled_reason": None}
    assert off == endpoint


def test_a_removed_endpoint_is_not_there(key: Api) -> None:
    path = f"{ENDPOINTS}/{created(key, OFF)['id']}"

    first = key.delete(path)

    assert (first.status_code, first.content) == (204, b"")
    for response in (key.get(path), key.patch(path, {}), key.delete(path), key.post(f"{path}/rotate-secret")):
        problem(response, 404, "not_found")
    assert path.rpartition("/")[2] not in key.get(ENDPOINTS, limit=200).text


def test_a_key_has_twenty_endpoints_at_most_also_when_they_come_at_once(new_key: NewKey) -> None:
    key = new_key("webhooks:read", "webhooks:write")

    with ThreadPoolExecutor(ENDPOINTS_MAX + 5) as pool:
        answers = list(pool.map(lambda _: key.post(ENDPOINTS, OFF), range(ENDPOINTS_MAX + 5)))

    assert sorted(one.status_code for one in answers) == [201] * ENDPOINTS_MAX + [409] * 5
    problem(key.post(ENDPOINTS, OFF), 409, "too_many_endpoints")
    assert len(key.get(ENDPOINTS).json()["items"]) == ENDPOINTS_MAX


def test_a_removed_endpoint_makes_room(new_key: NewKey) -> None:
    key = new_key("webhooks:read", "webhooks:write")
    made = [created(key, OFF)["id"] for _ in range(ENDPOINTS_MAX)]

    key.delete(f"{ENDPOINTS}/{made[7]}")

    assert created(key, OFF)["id"] not in made
    problem(key.post(ENDPOINTS, OFF), 409, "too_many_endpoints")


def test_endpoints_are_listed_newest_first_page_by_page(new_key: NewKey) -> None:
    key = new_key("webhooks:read", "webhooks:write")
    made = [created(key, OFF)["id"] for _ in range(5)]

    pages = key.pages(ENDPOINTS, limit=2)

    assert [[one["id"] for one in page] for page in pages] == [made[4:2:-1], made[2:0:-1], made[:1]]


def test_a_key_lists_its_own_endpoints_and_the_operator_everybodys(
    new_key: NewKey, operator: Api, endpoint: dict[str, Any]
) -> None:
    other = new_key("webhooks:read", "webhooks:write", "jobs:read", "keys:write")
    theirs = created(other, OFF)["id"]

    assert [one["id"] for one in other.get(ENDPOINTS).json()["items"]] == [theirs]
    assert [one["id"] for one in operator.get(ENDPOINTS, limit=2).json()["items"]] == [theirs, endpoint["id"]]


def test_the_operator_changes_and_removes_anybodys_endpoint(operator: Api, key: Api, endpoint: dict[str, Any]) -> None:
    path = f"{ENDPOINTS}/{endpoint['id']}"

    assert operator.patch(path, {"description": "operator"}).json()["description"] == "operator"
    assert operator.delete(path).status_code == 204
    problem(key.get(path), 404, "not_found")


def test_a_new_secret_is_shown_once_with_the_time_until_which_the_old_one_signs(
    key: Api, endpoint: dict[str, Any]
) -> None:
    response = key.post(f"{ENDPOINTS}/{endpoint['id']}/rotate-secret")

    rotated = response.json()
    until = datetime.fromisoformat(rotated["previous_until"])
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    assert rotated["secret"].startswith("whsec_")
    assert abs(until - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=1)
    assert rotated["secret"] not in key.get(f"{ENDPOINTS}/{endpoint['id']}").text


def test_a_key_without_a_callback_secret_gets_its_first(new_key: NewKey) -> None:
    key = new_key("deposits:write")

    first, second = (key.post("/v1/callbacks/rotate-secret") for _ in range(2))

    assert {one.headers["cache-control"] for one in (first, second)} == {"no-store"}
    assert (first.json()["previous_until"], first.json()["secret"] == second.json()["secret"]) == (None, False)
    assert second.json()["previous_until"] is not None


def test_the_endpoints_of_a_revoked_key_are_switched_off(
    stack: Stack, operator: Api, new_integrator: Callable[..., Integrator]
) -> None:
    integrator = new_integrator("webhooks:write")
    made = created(integrator.api, {"url": URL, "event_types": ["webhook.test"]})

    stack.command("keys", "revoke", integrator.id)

    shown = operator.get(f"{ENDPOINTS}/{made['id']}").json()
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "key_revoked")


@pytest.fixture(scope="module")
def public_only(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API process as in production."""
    log: Path = tmp_path_factory.mktemp("log") / "api.log"
    with serving(stack.env, log, WEBHOOK_ALLOW_LOOPBACK="false") as api:
        yield api


@pytest.mark.parametrize("url", [url for url, _ in addresses.LOOPBACK_URLS])
def test_our_own_machine_is_refused_otherwise(public_only: Api, key: Api, endpoint: dict[str, Any], url: str) -> None:
    caller = public_only.holding(key.token)

    assert fields(caller.post(ENDPOINTS, {"url": url})) == ["url"]
    assert fields(caller.patch(f"{ENDPOINTS}/{endpoint['id']}", {"url": url})) == ["url"]
