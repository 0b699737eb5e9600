"""The catalogue is what the code exposes, and every query of dashboards and rules names what stands in it."""

import re

import pytest

from monitoring.catalog import Exposed, every
from tests.monitoring import queries
from tests.monitoring.promql import named

# What Prometheus itself adds, and what a target is known by.
ADDED = {"up": frozenset[str]()}
OF_TARGETS = {"instance", "job"}
BY_NAME = {name: frozenset(labels) for metric in every() for name, labels in metric.series()} | ADDED
RECORDED = {rule.record: named(rule.expr).grouped for rule in queries.rules() if rule.record}
KNOWN = BY_NAME | RECORDED

EXPRESSIONS = [
    *queries.drawn(),
    *((rule.record or rule.alert, rule.expr) for rule in queries.rules()),
]


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_a_query_names_series_that_there_are_by_labels_that_they_have(where: str, expression: str) -> None:
    found = named(expression)
    unknown = [name for name, _ in found.selected if name not in KNOWN]
    assert unknown == [], where
    wrong = [(name, label) for name, labels in found.selected for label in labels - KNOWN[name] - OF_TARGETS]
    assert wrong == [], where
    labels_there = frozenset[str]().union(*(KNOWN[name] for name, _ in found.selected)) | OF_TARGETS
    assert found.grouped <= labels_there, where


def test_queries_are_read_from_every_panel_and_rule() -> None:
    assert len(list(queries.drawn())) > 50
    assert len(queries.rules()) > 25


def test_a_misspelt_metric_or_label_would_be_found() -> None:
    for expression in ("rate(tekana_http_request_total[5m])", 'tekana_queue_jobs{qeue="x"}', "tekana:jobs:rate5m"):
        with pytest.raises(AssertionError):
            test_a_query_names_series_that_there_are_by_labels_that_they_have("here", expression)


@pytest.mark.parametrize("metric", every(), ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_asks_for(metric: Exposed) -> None:
    """https://prometheus.io/docs/practices/naming/."""
    assert metric.name.startswith(("tekana_", "process_", "python_"))
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert not metric.name.removesuffix("_total").endswith(
        ("_ms", "_milliseconds", "_minutes", "_kb", "_count", "_sum")
    )


def test_no_two_metrics_have_one_name() -> None:
    names = [metric.name for metric in every()]
    assert len(names) == len(set(names))


def test_every_metric_of_ours_says_in_a_sentence_what_it_means() -> None:
    assert [metric.name for metric in every() if not re.match("[A-Z0-9]", metric.meaning)] == []
