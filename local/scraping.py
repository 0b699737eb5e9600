"""Where Prometheus finds the processes of this machine: a port for each, a list of them, and a configuration.

prometheus --config.file=var/prometheus.yml --storage.tsdb.path=var/prometheus
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from local import ports
from local.child import Child

RULES = Path(__file__).resolve().parent.parent / "deploy" / "prometheus" / "rules" / "*.yml"
WITHOUT = {"flower"}  # It is only a window.
TARGETS = "targets.json"  # Read anew by Prometheus when it changes.
CONFIGURATION = "prometheus.yml"
SCRAPE_SECONDS = 15  # As the rules expect: they look back over four scrapes at least.


def shown(started: Sequence[Child], data_dir: Path, serving: Mapping[str, int]) -> list[Child]:
    """Give each process a port for its metrics; tell Prometheus of these, and of those `serving` anyway."""
    chosen = choose_ports(child.name for child in started if child.name not in {*serving, *WITHOUT})
    write(data_dir, {**serving, **chosen})
    temporary = _emptied(data_dir / "tmp")
    return [_shown(child, chosen.get(child.name, 0), temporary) for child in started]


def _shown(child: Child, port: int, temporary: Path) -> Child:
    """Return the child with its port; a worker counts in files below TMPDIR."""
    env = {"METRICS_HOST": ports.HOST, "METRICS_PORT": str(port), "TMPDIR": str(temporary)}
    return msgspec.structs.replace(child, env=child.env | env)


def _emptied(folder: Path) -> Path:
    """Remove what processes that were killed have left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def choose_ports(names: Iterable[str]) -> dict[str, int]:
    """Return a free port for each process; nobody needs to know it before it starts."""
    return {name: ports.free() for name in names}


def write(data_dir: Path, targets: Mapping[str, int]) -> None:
    """Leave the list of processes, and a configuration that reads it; JSON is YAML, too."""
    _write(data_dir / TARGETS, [_target(name, port) for name, port in targets.items()])
    _write(
        data_dir / CONFIGURATION,
        {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "tekana", "file_sd_configs": [{"files": [str(data_dir / TARGETS)]}]}],
        },
    )


def _target(name: str, port: int) -> dict[str, object]:
    """Return a process as the rules know it: what it is, and which one."""
    job = f"tekana-{name.partition('-')[0]}"
    return {"targets": [f"{ports.HOST}:{port}"], "labels": {"job": job, "process": name}}


def _write(path: Path, content: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
