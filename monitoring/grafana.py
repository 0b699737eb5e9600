"""Dashboards as Grafana reads them, three panels a line."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

SCHEMA_VERSION = 39  # Of Grafana 11; later ones bring it up to date as they load it.
GRID_COLUMNS, PANEL_COLUMNS, PANEL_LINES = 24, 8, 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Panel(msgspec.Struct, frozen=True):
    """A graph. `queries` are PromQL, each under the legend of what it finds; `unit` is one of Grafana's."""

    title: str
    unit: str
    queries: Mapping[str, str]
    meaning: str = ""
    kind: Literal["timeseries", "stat"] = "timeseries"


class Row(msgspec.Struct, frozen=True):
    title: str
    panels: Sequence[Panel]


class Board(msgspec.Struct, frozen=True):
    """A dashboard. `uid` is its address, and never changes."""

    uid: str
    title: str
    rows: Sequence[Row]


def rendered(board: Board) -> str:
    """Return the dashboard's JSON."""
    return msgspec.json.format(msgspec.json.encode(_board(board))).decode() + "\n"


def _board(board: Board) -> dict[str, Any]:
    return {
        "uid": board.uid,
        "title": board.title,
        "tags": ["tekana"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [panel | {"id": number} for number, panel in enumerate(_panels(board.rows), start=1)],
    }


def _panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    line = 0
    for row in rows:
        yield {"type": "row", "title": row.title, "collapsed": False, "gridPos": _place(0, line, GRID_COLUMNS, 1)}
        line += 1
        for number, panel in enumerate(row.panels):
            down, right = divmod(number, GRID_COLUMNS // PANEL_COLUMNS)
            place = _place(right * PANEL_COLUMNS, line + down * PANEL_LINES, PANEL_COLUMNS, PANEL_LINES)
            yield _panel(panel) | {"gridPos": place}
        line += -(-len(row.panels) // (GRID_COLUMNS // PANEL_COLUMNS)) * PANEL_LINES


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    from_zero = {"min": 0} if panel.kind == "timeseries" else {}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, **from_zero}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for number, (legend, expression) in enumerate(panel.queries.items())
        ],
    }
