"""The page for integrators says what the code does."""

import pytest

import api.webhook_page
from api.schemas import inlined
from domain.deliveries import DeliveryState
from domain.events import DisabledEndpoint
from domain.retries import GONE, THROTTLING
from settings import Settings
from tests.api.verifiers import PAGE
from workers.outbound import Failure

WIDTH_MAX = 120


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_checked_in_page_is_the_generated_one() -> None:
    assert api.webhook_page.rendered(page()) == page(), "docs/webhooks.md is of another version: run `make docs`"


def test_writing_the_page_twice_changes_nothing() -> None:
    once = api.webhook_page.rendered(page().replace("| 5 min |", "| 6 min |"))
    assert once == page()
    assert api.webhook_page.rendered(once) == once


@pytest.mark.parametrize("other", ["", "<!-- generated: limits -->", "<!-- generated: unknown -->"])
def test_a_page_with_other_parts_is_refused(other: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        api.webhook_page.rendered(page().replace("<!-- generated: retries -->", other))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (5, "5 s"),
        (300, "5 min"),
        (9_305, "2 h 35 min 5 s"),
        (86_400, "24 h"),
        (272_105, "3 d 3 h 35 min 5 s"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: int, text: str) -> None:
    assert api.webhook_page.duration(seconds) == text


def test_no_line_of_the_page_is_long() -> None:
    assert [line for line in page().splitlines() if len(line) > WIDTH_MAX] == []


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_of_the_log_is_explained(failure: Failure) -> None:
    assert f"| `{failure}` |" in page()


@pytest.mark.parametrize("reason", inlined(DisabledEndpoint)["properties"]["disabled_reason"]["enum"])
def test_every_reason_to_switch_an_endpoint_off_is_explained(reason: str) -> None:
    assert f"| `{reason}` |" in page()


@pytest.mark.parametrize(
    "words",
    [
        f"{GONE} |",
        f"{', '.join(map(str, sorted(THROTTLING)))} with `Retry-After`",
        ", ".join(f"`{state}`" for state in DeliveryState),
        f"an attempt ends after {Settings().webhook_timeout_seconds} s",
    ],
)
def test_what_people_wrote_is_what_the_code_says(words: str) -> None:
    assert words in page()
