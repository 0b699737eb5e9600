"""What the documentation promises of events and webhooks, read as an integrator reads it."""

import re
from typing import Any

import pytest

import api.openapi
from tests.api.clients import Api
from workers.outbound import Failure

RATES = {"RateLimit", "RateLimit-Policy"}
MOMENT = re.compile(r".*(_at|_until|_since)|at|from|to|timestamp")
SECRETS = {"CreatedWebhookEndpoint", "RotatedSecret"}
DOCUMENT: dict[str, Any] = api.openapi.document()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS: dict[str, Any] = {one["operationId"]: one for item in DOCUMENT["paths"].values() for one in item.values()}


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = SCHEMAS[name]["properties"]
    return found


def choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = schema.get("anyOf", [schema])
    return found


def is_nullable(schema: dict[str, Any]) -> bool:
    return {"type": "null"} in choices(schema)


@pytest.mark.parametrize(
    ("schema", "field"),
    [(name, field) for name in SCHEMAS for field in SCHEMAS[name].get("properties", {}) if MOMENT.fullmatch(field)],
)
def test_a_moment_is_written_as_rfc_3339_has_it(schema: str, field: str) -> None:
    value = choices(properties(schema)[field])[0]

    assert (value["type"], value["format"]) == ("string", "date-time")
    assert value["description"]


def test_a_secret_is_answered_where_it_is_made_and_nowhere_else() -> None:
    showing = {name for name in SCHEMAS if "secret" in SCHEMAS[name].get("properties", {})}
    answering = {name for name, one in OPERATIONS.items() if any(f"/{secret}'" in str(one) for secret in SECRETS)}

    assert showing == SECRETS
    assert answering == {"create_webhook_endpoint", "rotate_webhook_secret", "rotate_callback_secret"}


@pytest.mark.parametrize(
    ("operation", "status", "headers"),
    [
        ("create_webhook_endpoint", "201", {"Location", "Cache-Control"}),
        ("rotate_webhook_secret", "200", {"Cache-Control"}),
        ("rotate_callback_secret", "200", {"Cache-Control"}),
        ("send_webhook_test", "202", {"Location"}),
        ("redeliver_webhook", "202", {"Location"}),
        ("delete_webhook_endpoint", "204", set()),
        ("update_webhook_endpoint", "200", set()),
        ("get_webhook_endpoint", "200", set()),
        ("list_events", "200", set()),
    ],
)
def test_an_answer_says_its_headers(operation: str, status: str, headers: set[str]) -> None:
    answer = OPERATIONS[operation]["responses"][status]

    assert answer["headers"].keys() == headers | RATES | {"X-Request-Id"}
    assert ("content" in answer) is (status != "204")


@pytest.mark.parametrize("operation", ["create_webhook_endpoint", "send_webhook_test", "redeliver_webhook"])
def test_a_conflict_is_described(operation: str) -> None:
    conflict = DOCUMENT["components"]["responses"]["Conflict"]["description"]

    assert "409" in OPERATIONS[operation]["responses"]
    assert "endpoint_disabled" in conflict
    assert "too_many_endpoints" in conflict


def test_an_event_says_what_its_data_can_be() -> None:
    data = properties("Event")["data"]

    named = [one["$ref"].rpartition("/")[2] for one in choices(data)]
    assert named == ["Job", "DisabledEndpoint", "EndpointTest"]
    assert set(named) <= SCHEMAS.keys()


def test_a_job_may_lack_a_progress_and_nothing_else() -> None:
    assert properties("Job").keys() - set(SCHEMAS["Job"]["required"]) == {"progress"}


def test_a_change_may_lack_any_field_and_has_one_that_may_be_null() -> None:
    assert SCHEMAS["UpdateWebhookEndpoint"]["required"] == []
    assert [name for name, one in properties("UpdateWebhookEndpoint").items() if is_nullable(one)] == ["description"]
    assert [name for name, one in properties("UpdateWebhookEndpoint").items() if "default" in one] == []


def test_a_new_endpoint_needs_a_url_and_says_the_defaults_of_the_rest() -> None:
    defaults = {name: one["default"] for name, one in properties("CreateWebhookEndpoint").items() if "default" in one}

    assert SCHEMAS["CreateWebhookEndpoint"]["required"] == ["url"]
    assert defaults == {"event_types": ["*"], "description": None, "enabled": True}


def test_a_replay_names_its_times_as_clients_write_them() -> None:
    assert list(properties("ReplayWebhooks")) == ["from", "to", "only_failed", "callback_url"]
    assert SCHEMAS["ReplayWebhooks"]["required"] == ["from"]
    assert [name for name, one in properties("ReplayWebhooks").items() if is_nullable(one)] == ["to", "callback_url"]


def test_a_replay_that_has_just_been_accepted_has_no_progress_and_no_result() -> None:
    example = OPERATIONS["replay_webhooks"]["responses"]["202"]["content"]["application/json"]["example"]

    assert (example["state"], example["result"], "progress" in example) == ("queued", None, False)


@pytest.mark.parametrize("operation", ["send_webhook_test", "redeliver_webhook"])
def test_a_delivery_that_was_just_asked_for_is_pending(operation: str) -> None:
    example = OPERATIONS[operation]["responses"]["202"]["content"]["application/json"]["example"]

    assert (example["state"], example["attempts"], example["finished_at"]) == ("pending", [], None)


@pytest.mark.parametrize("name", ["EventType", "DeliveryState", "JobState"])
def test_every_value_is_explained(name: str) -> None:
    text = SCHEMAS[name]["description"]

    assert [one for one in SCHEMAS[name]["enum"] if f"- `{one}`: " not in text] == []


def test_every_reason_for_an_attempt_without_an_answer_is_named() -> None:
    assert choices(properties("Attempt")["error"])[0]["examples"] == list(Failure)


def test_the_message_is_described_for_who_receives_it() -> None:
    message = DOCUMENT["components"]["pathItems"]["Message"]["post"]
    named = [one["$ref"].rpartition("/")[2] for one in message["parameters"]]

    assert named == ["webhook-id", "webhook-timestamp", "webhook-signature"]
    assert all(DOCUMENT["components"]["parameters"][one]["required"] for one in named)
    assert message["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Event"}
    assert {"2XX", "410", "429"} <= message["responses"].keys()


def test_whoever_may_name_a_callback_url_reads_what_is_sent_there() -> None:
    message = {"$ref": "#/components/pathItems/Message"}
    taking = {
        name
        for name, one in OPERATIONS.items()
        if "callback_url" in str(SCHEMAS.get(body_of(one), {}).get("properties", {}))
    }

    movements = {"create_deposit", "create_withdrawal", "create_transfer", "create_bulk_transfer"}
    changes = {f"{verb}_{noun}" for verb in ("freeze", "unfreeze", "close") for noun in ("wallet", "customer")}
    assert taking == {"register_customer", "open_wallet", "replay_webhooks", *movements, *changes}
    assert {name for name, one in OPERATIONS.items() if "callbacks" in one} == taking
    for name in taking:
        assert OPERATIONS[name]["callbacks"] == {"ended": {"{$request.body#/callback_url}": message}}
    assert DOCUMENT["webhooks"] == {"event": message}


def body_of(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return str(content.get("schema", {}).get("$ref", "")).rpartition("/")[2]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_no_description_begins_or_ends_with_a_blank(name: str) -> None:
    texts = (OPERATIONS[name]["summary"], OPERATIONS[name]["description"])

    assert texts == tuple(text.strip() for text in texts)
    assert "  " not in OPERATIONS[name]["description"]


def test_the_page_explains_the_codes_of_webhooks(anyone: Api) -> None:
    page = anyone.get("/docs").text

    for code in ("endpoint_disabled", "too_many_endpoints", "endpoint_not_found", "replay_too_large"):
        assert f"<code>{code}</code>" in page
