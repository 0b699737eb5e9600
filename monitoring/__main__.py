"""`python -m monitoring`: write docs/metrics.md's tables and the dashboards anew, after a change of the metrics."""

from pathlib import Path

from monitoring import grafana, overview, page, processes, webhooks

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "metrics.md"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
BOARDS = (overview.BOARD, webhooks.BOARD, processes.BOARD)


def main() -> None:
    PAGE.write_text(page.rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for board in BOARDS:
        path = DASHBOARDS / f"{board.uid.removeprefix('tekana-')}.json"
        path.write_text(grafana.rendered(board), encoding="utf-8")


if __name__ == "__main__":
    main()
