"""docker-compose.yml as Docker reads it, with the secrets that `make up` makes."""

import re
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<operator>[-?])(?P<rest>[^${}]*))?\}")  # The innermost of nested ones.
OURS = ("api-1", "api-2", "sweeper", "beat", "flower", "migrate", "tekana")
QUEUES = ("customers", "wallets", "transactions", "webhooks", "maintenance")


class Unset(Exception):
    """A variable without which Docker refuses to start anything."""


@lru_cache(maxsize=1)
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


def made() -> dict[str, str]:
    """Return an .env as deploy/environment.sh makes it, new each time."""
    script = ["sh", str(ROOT / "deploy/environment.sh")]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    lines = [line for line in printed.splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def document(env: Mapping[str, str]) -> dict[str, Any]:
    """Return the whole file, with the variables of `env` filled in.

    Raises:
        Unset: one that has no default is missing or empty.

    """
    filled = text()
    while VARIABLE.search(filled):
        filled = VARIABLE.sub(lambda found: _value(found, env), filled)
    result: dict[str, Any] = yaml.safe_load(filled)
    return result


def services(env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = document(env)["services"]
    return result


def our_services() -> list[str]:
    """Return those that run our image."""
    return [*OURS, *(f"worker-{queue}" for queue in QUEUES)]


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in service.get("environment", {}).items()}


def _value(found: re.Match[str], env: Mapping[str, str]) -> str:
    value = env.get(found["name"], "")
    if value or found["operator"] is None:
        return value
    if found["operator"] == "?":
        raise Unset(f"{found['name']}: {found['rest']}")
    return found["rest"] or ""
