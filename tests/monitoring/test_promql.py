"""The reader of PromQL finds what an expression names, and nothing else."""

import pytest

from tests.monitoring.promql import named


@pytest.mark.parametrize(
    ("expression", "selected", "grouped"),
    [
        ("up", [("up", set())], set()),
        ('up{job="a", instance=~"b|c"} == 0', [("up", {"job", "instance"})], set()),
        ("sum by (le, queue) (rate(x_bucket[5m]))", [("x_bucket", set())], {"le", "queue"}),
        ("sum(rate(x_total[$__rate_interval])) by (kind)", [("x_total", set())], {"kind"}),
        ('a{b="c}"} / on (d) group_left (e) f', [("a", {"b"}), ("f", set())], {"d", "e"}),
        ("max(x) - max(x offset 15m) > 0", [("x", set()), ("x", set())], set()),
        ("level:metric:rate5m > 1e9 or vector(0)", [("level:metric:rate5m", set())], set()),
        ('absent(x{q="and"}) and y unless z', [("x", {"q"}), ("y", set()), ("z", set())], set()),
        ("topk(10, sum by (a) (b))", [("b", set())], {"a"}),
        ("1 - 0.5", [], set()),
    ],
)
def test_series_and_labels_are_found(expression: str, selected: list[tuple[str, set[str]]], grouped: set[str]) -> None:
    found = named(expression)
    assert found.selected == [(name, frozenset(labels)) for name, labels in selected]
    assert found.grouped == grouped


@pytest.mark.parametrize("expression", ["a ? b", 'x{a="b', "#"])
def test_what_is_no_promql_is_refused(expression: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        named(expression)
