"""The course of a benchmark: parts, their runs, the audit after each, and the file after each part."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bench import audited, latest, parts
from bench.latest import Latest, Result
from bench.machine import machine
from bench.options import Options
from bench.scene import Scene, opened

VERSION = "SELECT current_setting('server_version')"


class Failed(Exception):
    """Some parts could not be measured; the others were, and are in the file."""


def run(names: Sequence[str], options: Options, say: Callable[[str], None], *, rounds: int, into: Path) -> Latest:
    """Measure the parts; what one of them found is in the file before the next begins.

    Raises:
        Failed: with the names of those that failed; what the file said of them before stays.

    """
    found, failed = Latest(), []
    for group in parts.groups(names):
        with opened(options, say) as scene:
            for name in group:
                try:
                    found = latest.add(into, name, _part(scene, name, parts.rounds(name, rounds)))
                except Exception as error:  # noqa: BLE001 - the parts that follow are worth as much without it
                    failed.append(name)
                    say(f"{name} failed: {error!r}")
    if failed:
        raise Failed(", ".join(failed))
    return found


def _part(scene: Scene, name: str, rounds: int) -> Result:
    runs, audits = [], []
    for turn in range(1, rounds + 1):
        scene.say(f"{name}, run {turn} of {rounds}")
        runs.append(parts.plain(parts.measure(name)(scene)))
        audits.append(audited.seconds(scene.stack))
    made_on = machine(scene.database.value(VERSION))
    return latest.result(runs, machine=made_on, options=scene.options, audit_seconds=max(audits))
