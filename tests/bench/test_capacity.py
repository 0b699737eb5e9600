"""The runbook's table of capacity is what was measured."""

from pathlib import Path

import msgspec
import pytest

from bench.capacity import LATEST, main, rendered

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def changed(**changes: object) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(LATEST.read_bytes()) | changes)


def test_the_checked_in_table_is_what_the_last_benchmark_found() -> None:
    assert rendered(page(), LATEST.read_bytes()) == page(), "docs/operations.md is of another run: run `make docs`"


def test_a_core_does_its_share_of_what_all_do() -> None:
    machine = {"cores": 4, "memory_gib": 1.0, "kernel": "", "python": "3.11"}

    text = rendered(page(), changed(settled_per_second=8_000.0, machine=machine))

    assert "| transfers from HTTP to settled, a second, all cores together | 8,000 |" in text
    assert "| the same, of one core | 2,000 |" in text
    assert "| cores for 1,000 transfers a second, PostgreSQL's included | 0.5 |" in text


def test_webhooks_are_told_of_where_they_were_measured() -> None:
    latency = {"p50_ms": 1.0, "p99_ms": 2.0}
    measured = {
        "backlog": 1,
        "deliveries_per_second": 1_234.0,
        "rate_per_second": 50,
        "alone": latency,
        "beside_a_dead_endpoint": latency,
        "dead_endpoint_ratio": 1.0,
    }

    assert "| webhooks of one worker, a second | 1,234 |" in rendered(page(), changed(webhooks=measured))


@pytest.mark.parametrize("text", ["", "<!-- generated: capacity -->\n<!-- end -->\n" * 2])
def test_a_page_without_its_one_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected 1"):
        rendered(text, LATEST.read_bytes())


def test_writing_it_twice_changes_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "operations.md"
    copy.write_text(page().replace("| one transfer at a time", "| two transfers at a time"))

    for _ in range(2):
        main(copy)

    assert copy.read_text() == page()
