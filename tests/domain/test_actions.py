from domain.actions import Action
from domain.jobs import Kind
from domain.states import Verb


def test_every_change_of_a_state_is_an_action_of_the_same_name() -> None:
    kinds = {kind.value for kind in Kind if kind.partition(".")[2] in set(Verb)}
    assert len(kinds) == 2 * len(Verb)
    assert kinds <= set(Action)
