"""What our pages say of speed is what was measured."""

import pytest

from bench import latest
from bench.blocks import PAGES, ROOT, pages, rendered
from bench.latest import Latest, Result, result
from bench.machine import Machine
from bench.options import Options

HERE = Machine(cores=4, memory_gib=1.0, kernel="Linux", python="3.11")
ACCEPTED = {"p50_ms": 10.0, "p99_ms": 20.0}
HEADLINE = {"transfers_per_second": 8_000.0, "ratio_to_pgbench": 1.25, "round": {"accepted": ACCEPTED}}


def found(**parts: dict[str, object]) -> Latest:
    return Latest(machine=HERE, parts={name: part(one, one) for name, one in parts.items()})


def part(*runs: object) -> Result:
    return result(runs, machine=HERE, options=Options(), audit_seconds=1.0)


def text(page: str, of: Latest) -> str:
    return "\n".join(PAGES[page][1](of))


@pytest.mark.parametrize("page", PAGES)
def test_the_checked_in_page_is_what_the_last_benchmark_found(page: str) -> None:
    wanted = dict(pages(ROOT, latest.load(latest.PATH)))[ROOT / page]
    assert (ROOT / page).read_text(encoding="utf-8") == wanted, f"{page} is of another run: run `make docs`"


def test_a_core_does_its_share_of_what_all_do() -> None:
    lines = text("docs/operations.md", found(headline=HEADLINE))
    assert "| transfers from HTTP to settled, a second, all cores together | 8,000 |" in lines
    assert "| the same, of one core | 2,000 |" in lines
    assert "| cores for 1,000 transfers a second, PostgreSQL's included | 0.5 |" in lines


def test_webhooks_are_told_of_where_they_were_measured() -> None:
    lines = text("docs/operations.md", found(headline=HEADLINE, webhooks={"deliveries_per_second": 1_234.0}))
    assert "| webhooks of one worker, a second | 1,234 |" in lines


def test_the_readme_claims_only_what_was_measured() -> None:
    assert "**8,000 transfers a second**" in text("README.md", found(headline=HEADLINE))
    assert "bulk" not in text("README.md", found(headline=HEADLINE))


def test_results_show_each_run_beside_the_middle() -> None:
    runs = [{"pgbench_tps": value} for value in (1_000.0, 3_000.0, 2_000.0)]
    lines = text("docs/benchmarks/README.md", Latest(machine=HERE, parts={"headline": part(*runs)}))
    assert "| `pgbench_tps` | 2,000 | 1,000, 3,000, 2,000 |" in lines


@pytest.mark.parametrize("page", ["", "<!-- generated: capacity -->\n<!-- end -->\n" * 2])
def test_a_page_without_its_one_place_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="expected 1"):
        rendered(page, "capacity", ["a line"])


def test_writing_a_block_twice_changes_nothing() -> None:
    once = rendered("# Page\n<!-- generated: results -->\n<!-- end -->\nmore\n", "results", ["a line"])
    assert rendered(once, "results", ["a line"]) == once
