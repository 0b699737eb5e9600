import time

import pytest

import api.windows
from api.windows import Windows

SECONDS = 1


def test_a_window_lets_as_many_through_as_the_strictest_of_its_keys_allows() -> None:
    windows = Windows(SECONDS)
    steps = [windows.count(["a", "b"], [2, 3]) for _ in range(3)]
    time.sleep(SECONDS)
    steps.append(windows.count(["a", "b"], [2, 3]))

    assert [one[:1] + one[1::2] for one in steps] == [[1, 1, 1], [1, 2, 2], [0, 2, 2], [1, 1, 1]]
    assert all(1 <= milliseconds <= 1000 * SECONDS for one in steps for milliseconds in one[2::2])


def test_a_key_that_was_not_asked_for_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.windows, "KEYS_MAX", 2)
    windows = Windows(SECONDS * 100)

    assert [windows.count([key], [1])[0] for key in "aabca"] == [1, 0, 1, 1, 1]


def test_what_is_taken_back_or_forgotten_leaves_room() -> None:
    windows = Windows(SECONDS * 100)
    windows.count(["a", "b"], [2, 2])
    windows.count(["a", "b"], [2, 2])

    windows.take_back(["a", "never seen"])
    windows.forget("b")

    assert [windows.count([key], [2])[0] for key in "aabbb"] == [1, 0, 1, 1, 0]
