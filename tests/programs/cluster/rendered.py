"""The manifests as kustomize renders them, which is what a cluster is given."""

import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/kubernetes"
OVERLAYS = ("base", "overlays/staging", "overlays/production", "overlays/production-keda")

Manifest = dict[str, Any]


@lru_cache(maxsize=len(OVERLAYS))
def manifests(overlay: str) -> list[Manifest]:
    return [one for one in yaml.safe_load_all(text(overlay)) if one]


@lru_cache(maxsize=len(OVERLAYS))
def text(overlay: str) -> str:
    done = subprocess.run([_program(), "build", str(FOLDER / overlay)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(overlay: str, *kinds: str) -> dict[str, Manifest]:
    """Return the manifests of these kinds by name."""
    return {one["metadata"]["name"]: one for one in manifests(overlay) if one["kind"] in kinds}


def pods(overlay: str) -> dict[str, Manifest]:
    """Return the templates of pods, by the name of what makes them."""
    return {name: one["spec"]["template"] for name, one in of_kind(overlay, "Deployment", "Job").items()}


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def selects(selector: Manifest, pod: Manifest) -> bool:
    """Whether a selector chooses a pod (Kubernetes documentation, "Labels and Selectors")."""
    labels = pod["metadata"]["labels"]
    expressions = selector.get("matchExpressions", [])
    return selector.get("matchLabels", {}).items() <= labels.items() and all(_holds(one, labels) for one in expressions)


def _holds(expression: Manifest, labels: dict[str, str]) -> bool:
    is_in = labels.get(expression["key"]) in expression["values"]
    return {"In": is_in, "NotIn": not is_in}[expression["operator"]]


def _program() -> str:
    found = shutil.which("kustomize", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert found, "kustomize is missing: `make deployment` builds it, with Go"
    return found
