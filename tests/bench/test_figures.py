import pytest

from bench.figures import middle, percentile, slope, spread


@pytest.mark.parametrize(
    ("share", "expected"), [(1, 1.0), (50, 50.0), (99, 99.0), (99.5, 100.0), (100, 100.0)], ids=str
)
def test_a_percentile_is_a_value_that_was_seen(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(1, 101)], share) == expected


def test_of_one_value_every_percentile_is_that_value() -> None:
    assert {percentile([7.0], share) for share in (0, 50, 99, 100)} == {7.0}


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="of nothing"):
        percentile([], 50)


def test_a_spread_is_in_milliseconds_whatever_the_order() -> None:
    found = spread([0.003, 0.001, 0.002])
    assert (found.p50, found.p99, found.worst) == (2.0, 3.0, 3.0)


def test_a_slope_is_found_through_noise_that_evens_out() -> None:
    assert slope([(0, 10.5), (1, 11.5), (2, 14.5), (3, 15.5)]) == pytest.approx(1.8)


@pytest.mark.parametrize("points", [[], [(1.0, 2.0)], [(1.0, 2.0), (1.0, 3.0)]])
def test_a_slope_needs_two_times(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="two different times"):
        slope(points)


def test_the_middle_of_runs_is_the_median_of_each_figure() -> None:
    runs = [
        {"tps": 10, "spread": {"p99": 3.0}, "points": [{"n": 1, "at": 5.0}], "name": "a", "is_done": True},
        {"tps": 30, "spread": {"p99": 1.0}, "points": [{"n": 1, "at": 9.0}], "name": "b", "is_done": False},
        {"tps": 20, "spread": {"p99": 2.0}, "points": [{"n": 1, "at": 7.0}], "name": "c", "is_done": True},
    ]
    assert middle(runs) == {
        "tps": 20,
        "spread": {"p99": 2.0},
        "points": [{"n": 1, "at": 7.0}],
        "name": "c",
        "is_done": True,
    }


def test_a_figure_that_one_run_lacks_is_the_middle_of_the_others() -> None:
    assert middle([{"a": 1.0}, {"a": 3.0, "b": 4.0}]) == {"a": 2.0, "b": 4.0}
