"""The course of a benchmark: parts, their runs, the audit after each, and the file after each part."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec

from bench import audited, latest, parts
from bench.latest import Result
from bench.machine import machine
from bench.options import Options
from bench.scene import Scene, opened

Run: TypeAlias = tuple[msgspec.Struct, float]  # What was found, and how many seconds the audit took.


class Failed(Exception):
    """Some parts could not be measured; the others were, and are in the file."""


class Course:
    """Measures parts, and keeps the names of those that failed."""

    def __init__(self, options: Options, say: Callable[[str], None], *, rounds: int, into: Path) -> None:
        self._options = options
        self._say = say
        self._rounds = rounds
        self._into = into
        self._failed: list[str] = []

    def run(self, names: Sequence[str]) -> None:
        """Measure the parts; what one of them found is in the file before the next begins.

        Raises:
            Failed: with the names of those that failed; what the file said of them before stays.

        """
        if shared := parts.shared(names):
            with opened(self._options, self._say) as scene:
                for name in shared:
                    self._part(name, partial(self._audited, name, scene))
        for name in parts.alone(names):
            self._part(name, partial(self._alone, name))
        if self._failed:
            raise Failed(", ".join(self._failed))

    def _audited(self, name: str, scene: Scene) -> Run:
        found = parts.measure(name)(scene)
        return found, audited.seconds(scene.stack)

    def _alone(self, name: str) -> Run:
        return parts.measure(name)(self._options, self._say), 0.0

    def _part(self, name: str, measured: Callable[[], Run]) -> None:
        try:
            latest.add(self._into, name, self._result(name, measured))
        except Exception as error:  # noqa: BLE001 - the parts that follow are worth as much without it
            self._failed.append(name)
            self._say(f"{name} failed: {error!r}")

    def _result(self, name: str, measured: Callable[[], Run]) -> Result:
        rounds, runs = parts.rounds(name, self._rounds), []
        for turn in range(1, rounds + 1):
            self._say(f"{name}, run {turn} of {rounds}")
            runs.append(measured())
        return latest.result(
            [msgspec.to_builtins(found) for found, _ in runs],
            machine=machine(),
            options=self._options,
            audit_seconds=max(seconds for _, seconds in runs),
        )
