"""The operator's verbs, run in the test's own process."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


Tekana = Callable[..., Done]


def lines(done: Done) -> list[Any]:
    assert done.status == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]
