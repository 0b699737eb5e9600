"""The page of metrics lists what the code exposes."""

from pathlib import Path

import pytest

from monitoring import page
from monitoring.catalog import every

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_checked_in_page_is_the_generated_one() -> None:
    assert page.rendered(text()) == text(), "docs/metrics.md is of another version: run `make docs`"


@pytest.mark.parametrize("metric", [metric.name for metric in every()])
def test_every_metric_has_a_line(metric: str) -> None:
    assert f"| `{metric}` |" in text()


def test_a_unit_is_told_from_the_name() -> None:
    units = {metric.name: metric.unit for metric in every()}
    assert units["tekana_batch_seconds"] == units["tekana_worker_child_cpu_seconds_total"] == "seconds"
    assert units["process_resident_memory_bytes"] == "bytes"
    assert units["tekana_queue_jobs"] == ""


@pytest.mark.parametrize("other", ["# Metrics\n", "<!-- generated -->\n<!-- end -->\n" * 2])
def test_a_page_without_a_place_for_the_tables_is_refused(other: str) -> None:
    with pytest.raises(ValueError, match="one part"):
        page.rendered(other)
