"""Who looks on from a thread of its own, again and again, while something else happens."""

import threading
from abc import ABC, abstractmethod
from typing import Self


class Onlooker(ABC):
    look_seconds = 0.05  # Between two looks.

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self.look_seconds):
            self.look()

    @abstractmethod
    def look(self) -> None: ...
