"""Dashboards are what the code says, and Grafana finds each under the same address for ever."""

from collections import Counter
from typing import Any

import pytest

from monitoring import grafana
from monitoring.__main__ import BOARDS
from monitoring.grafana import GRID_COLUMNS, Board, Panel, Row
from tests.monitoring import queries

UIDS = {"overview.json": "tekana-overview", "processes.json": "tekana-processes", "webhooks.json": "tekana-webhooks"}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_checked_in_dashboard_is_the_generated_one(board: Board) -> None:
    path = queries.DASHBOARDS / f"{board.uid.removeprefix('tekana-')}.json"
    assert path.read_text(encoding="utf-8") == grafana.rendered(board), "another version: run `make docs`"


def test_a_dashboard_keeps_its_address() -> None:
    assert {name: board["uid"] for name, board in queries.dashboards().items()} == UIDS


@pytest.mark.parametrize("name", UIDS)
def test_every_panel_asks_the_source_that_its_reader_chooses(name: str) -> None:
    board = queries.dashboards()[name]
    [variable] = board["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    sources = [source for panel in board["panels"] for source in sources_of(panel)]
    assert {source["uid"] for source in sources} == {"${datasource}"}


def sources_of(panel: dict[str, Any]) -> list[dict[str, str]]:
    return [one["datasource"] for one in [panel, *panel.get("targets", [])] if "datasource" in one]


@pytest.mark.parametrize("name", UIDS)
def test_no_panel_lies_over_another_or_beside_the_page(name: str) -> None:
    cells: Counter[tuple[int, int]] = Counter()
    for panel in queries.dashboards()[name]["panels"]:
        place = panel["gridPos"]
        cells.update(
            (place["x"] + right, place["y"] + down) for right in range(place["w"]) for down in range(place["h"])
        )
    assert max(cells.values()) == 1
    assert max(x for x, _ in cells) < GRID_COLUMNS


def test_two_queries_of_a_panel_have_names_and_numbers_of_their_own() -> None:
    row = Row("R", [Panel("P", "s", {"a": "up", "b": "up == 1"}, "Why.", "stat")])
    [_, panel] = grafana._board(Board("u", "T", [row]))["panels"]  # noqa: SLF001 - before it is text
    assert [(one["refId"], one["legendFormat"], one["expr"]) for one in panel["targets"]] == [
        ("A", "a", "up"),
        ("B", "b", "up == 1"),
    ]
    assert (panel["description"], panel["type"], panel["fieldConfig"]["defaults"]) == ("Why.", "stat", {"unit": "s"})
