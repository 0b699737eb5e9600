"""Whoever is woken learns from the alert what is wrong and what to do, and where more of it stands."""

import re
from pathlib import Path
from typing import Any

import pytest

from domain.jobs import Queue
from tests.monitoring import queries
from tests.monitoring.queries import Rule

WIDTH_MAX = 200  # Characters of a description: a sentence or two, as a telephone shows it.
PARTS = ("**What it means.**", "**Look at.**", "**Do.**", "**Over when.**")
WHERE = "{{ $externalLabels.runbooks }}"  # Who runs Prometheus says where this repository can be read.
BY_NAME = pytest.mark.parametrize("alert", queries.alerts(), ids=lambda alert: alert.alert)


@BY_NAME
def test_an_alert_says_whether_it_wakes_somebody(alert: Rule) -> None:
    assert alert.labels.keys() == {"severity"}
    assert alert.labels["severity"] in {"page", "ticket"}


@BY_NAME
def test_an_alert_says_what_is_wrong_and_in_a_sentence_what_to_do(alert: Rule) -> None:
    assert alert.annotations.keys() == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"[A-Z][^.]*(\.[^ ][^.]*)*\.", alert.annotations["description"])
    assert len(alert.annotations["description"]) <= WIDTH_MAX


@BY_NAME
def test_an_alert_leads_to_its_section_of_the_runbook(alert: Rule) -> None:
    where, _, anchor = alert.annotations["runbook_url"].partition("#")
    assert where.startswith(WHERE)
    found = sections(queries.ROOT / where.removeprefix(WHERE))
    assert anchor == alert.alert.lower()
    assert all(part in found[anchor] for part in PARTS)


def test_the_runbook_has_no_section_of_an_alert_that_there_is_not() -> None:
    named = {anchor for anchor in sections(queries.ROOT / "docs" / "operations.md") if anchor.startswith("tekana")}
    assert named == {alert.alert.lower() for alert in queries.alerts()}


def sections(page: Path) -> dict[str, str]:
    """Return the text below each heading of the third rank, by the anchor that GitHub gives it."""
    parts = re.split(r"^### (\w+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title.lower(): text for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_queue_has_to_have_a_worker() -> None:
    absent = {alert.alert: set(re.findall(r'queue="(\w+)"', alert.expr)) for alert in queries.alerts()}
    assert absent["TekanaHousekeepingIdle"] == {Queue.MAINTENANCE.value}
    assert absent["TekanaWorkerAbsent"] == {queue.value for queue in Queue if queue is not Queue.MAINTENANCE}


def test_memory_is_alerted_on_below_the_limit_at_which_a_process_is_killed() -> None:
    [high] = [alert for alert in queries.alerts() if alert.alert == "TekanaMemoryHigh"]
    said = [float(figure) for figure in re.findall(r"> ([\de.]+)", high.expr)]
    services = queries.read(queries.ROOT / "docker-compose.yml")["services"]
    limits = [services[name]["mem_limit"] for name in ("api-1", "sweeper", "worker-transactions")]
    assert services["beat"]["mem_limit"] == services["sweeper"]["mem_limit"]
    assert [figure / (int(limit.removesuffix("m")) * 2**20) for figure, limit in zip(said, limits, strict=True)] == (
        pytest.approx([0.8] * 3, abs=0.05)
    )


@BY_NAME
def test_an_alert_is_tested_to_fire_and_not_to_fire(alert: Rule) -> None:
    """The tests themselves are run by promtool: see tests/deploy."""
    outcomes = {bool(one["exp_samples"]) for one in rule_tests() if f'alertname="{alert.alert}"' in one["expr"]}
    assert outcomes == {True, False}


def rule_tests() -> list[dict[str, Any]]:
    """Return what promtool is to expect, with what a test has taken over from another one."""
    files = [queries.read(path) for path in sorted(queries.RULE_TESTS.glob("*.yml"))]
    return [one for file in files for test in file["tests"] for one in test.get("promql_expr_test", ())]
