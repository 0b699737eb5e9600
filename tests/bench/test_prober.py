"""What somebody small was answered beside a load, and when that was as before again."""

import math

import pytest

from bench.prober import ACCEPTED, Sample, p99_ms, recovery_seconds

NORMAL_MS, STEP = 20.0, 5.0
END = 100.0


def sampled(*answers: tuple[float, float, int]) -> list[Sample]:
    return [Sample(at=at, seconds=seconds, status=status) for at, seconds, status in answers]


def steady(begin: float, end: float, seconds: float = 0.01) -> list[Sample]:
    return sampled(*((begin + step / 10, seconds, ACCEPTED) for step in range(round((end - begin) * 10))))


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (steady(90, 160), 0.0),
        (steady(90, 100, 2.0) + steady(100, 160), 0.0),
        (steady(100, 107, 2.0) + steady(107, 160), 10.0),
        (steady(100, 160) + sampled((131, 0.01, 503)), 35.0),
        (steady(100, 160, 2.0), 60.0),
        ([], 0.0),
    ],
    ids=[
        "never slow",
        "slow only before",
        "slow for seven seconds",
        "refused later",
        "slow to the end",
        "nothing asked",
    ],
)
def test_it_has_recovered_once_what_follows_is_as_fast_as_before_and_never_refused(
    samples: list[Sample], expected: float
) -> None:
    assert recovery_seconds(samples, END, NORMAL_MS, STEP) == expected


def test_only_what_was_accepted_has_a_percentile() -> None:
    assert p99_ms(steady(0, 10, 0.02) + sampled((5, 9.0, 503))) == 20.0
    assert p99_ms(sampled((0, 1.0, 503))) == math.inf
