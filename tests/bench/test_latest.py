"""The file of results: parts are replaced one by one, and the figures on top follow them."""

from pathlib import Path
from typing import Any

import msgspec

from bench.latest import FIGURES, PATH, Latest, Result, add, figures, load, result
from bench.machine import Machine
from bench.options import Options
from bench.parts import PARTS

HERE = Machine(cores=2, memory_gib=1.0, kernel="Linux", python="3.11")


def found(*runs: dict[str, Any]) -> Result:
    return result(runs, machine=HERE, options=Options(), audit_seconds=1.23)


def test_a_part_replaces_itself_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "latest.json"

    add(path, "hot", found({"hot_wallet_per_second": 1.0}))
    add(path, "headline", found({"pgbench_tps": 100.0, "transfers_per_second": 50.0}))
    add(path, "hot", found({"hot_wallet_per_second": 2.0}))

    written = msgspec.json.decode(path.read_bytes())
    assert written["parts"].keys() == {"hot", "headline"}
    assert {name: written[name] for name in ("hot_wallet_per_second", "pgbench_tps", "transfers_per_second")} == {
        "hot_wallet_per_second": 2.0,
        "pgbench_tps": 100.0,
        "transfers_per_second": 50.0,
    }
    assert load(path).machine == HERE


def test_a_part_keeps_each_run_beside_the_middle() -> None:
    one = found({"tps": 1.0}, {"tps": 5.0}, {"tps": 2.0})
    assert (one.rounds, one.middle, [run["tps"] for run in one.runs]) == (3, {"tps": 2.0}, [1.0, 5.0, 2.0])


def test_a_whole_part_may_be_a_figure() -> None:
    assert figures({"soak": found({"minutes": 7})}) == {"soak": {"minutes": 7}}


def test_what_was_not_measured_is_not_there(tmp_path: Path) -> None:
    assert load(tmp_path / "nothing.json") == Latest()
    assert figures({"headline": found({"pgbench_tps": 1.0})}) == {"pgbench_tps": 1.0}


def test_every_figure_comes_from_a_part_that_there_is() -> None:
    assert {way.partition(".")[0] for way in FIGURES.values()} - PARTS.keys() == set()


def test_the_checked_in_file_says_on_top_what_its_parts_found() -> None:
    whole = msgspec.json.decode(PATH.read_bytes())
    parts = load(PATH).parts
    assert {name: whole[name] for name in FIGURES if name in whole} == msgspec.to_builtins(figures(parts))
