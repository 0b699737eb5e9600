import pytest

from bench.parts import PARTS, alone, chosen, measure, rounds, shared


def test_a_part_is_either_short_or_long() -> None:
    assert sorted([*chosen("short"), *chosen("long")]) == sorted(PARTS)
    assert [name for name in chosen("short") if PARTS[name].is_long] == []


def test_chosen_parts_run_in_the_order_of_the_list() -> None:
    assert chosen("hot, half,headline") == ["headline", "half", "hot"]
    assert chosen("soak,quick") == ["headline", "half", "idle", "hot", "soak"]


def test_a_part_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"no part is called colour, taste; there are headline, "):
        chosen("hot,colour,taste")


@pytest.mark.parametrize("name", PARTS)
def test_every_part_can_be_measured(name: str) -> None:
    assert callable(measure(name))


def test_a_part_may_know_better_how_often_it_is_worth_running() -> None:
    assert (rounds("headline", 3), rounds("soak", 3)) == (3, 1)


def test_parts_share_servers_unless_they_fill_them() -> None:
    names = ["headline", "growth", "half"]
    assert (shared(names), alone(names)) == (["headline", "half"], ["growth"])
