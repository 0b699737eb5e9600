"""One number decides what a run draws: the same number, the same strikes, amounts and orders."""

import os
import random
import secrets

SEEDS = 2**32  # As many runs as differ.


def _chosen() -> int:
    """Return the seed that was asked for, or a new one, which the processes that we start share."""
    os.environ["SEED"] = os.environ.get("SEED") or str(secrets.randbelow(SEEDS))
    return int(os.environ["SEED"])


SEED = _chosen()


def draw(*names: object) -> random.Random:
    """Return random numbers of the run's seed and these names alone, whatever else was run before."""
    return random.Random("/".join(map(str, (SEED, *names))))  # noqa: S311 - what a test draws is no secret
