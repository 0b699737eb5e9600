"""Every query of the project: what the dashboards draw, what the rules record and what they alert on."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
RULES = ROOT / "deploy" / "prometheus" / "rules"
RULE_TESTS = ROOT / "deploy" / "prometheus" / "tests"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    expr: str
    record: str = ""
    alert: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


def rules() -> list[Rule]:
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in read(path)["groups"]]
    return [msgspec.convert(rule, Rule) for group in groups for rule in group["rules"]]


def alerts() -> list[Rule]:
    return [rule for rule in rules() if rule.alert]


def dashboards() -> dict[str, Any]:
    return {path.name: msgspec.json.decode(path.read_bytes()) for path in sorted(DASHBOARDS.glob("*.json"))}


def drawn() -> Iterator[tuple[str, str]]:
    """Yield the queries of all panels, each with where it stands."""
    for name, board in dashboards().items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield f"{name}: {panel['title']}", target["expr"]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
