from domain.jobs import Queue
from local import flower
from local.stack import Stack


def test_flower_knows_a_worker_of_each_queue_once_it_was_asked_to_look(stack: Stack) -> None:
    assert flower.introduce_workers(stack)
    assert flower._seen(stack) == {queue.value for queue in Queue}  # noqa: SLF001 - what the operator sees
