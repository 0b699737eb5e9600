"""What a worker's parent does once it is ready. What its pool children do shows in the flows, where they settle."""

import gc
from pathlib import Path

from celery import Celery
from celery.signals import worker_ready


def test_a_parent_that_is_ready_leaves_what_it_has_loaded_out_of_the_search_for_garbage(heartbeats: Path) -> None:
    from workers import lifetime  # noqa: PLC0415 - reads the settings, which only `heartbeats` has made

    assert lifetime.__name__
    try:
        worker_ready.send(sender=Worker)
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
    assert not heartbeats.exists()  # It listens to no queue.


class Pool:
    @staticmethod
    def maintain_pool() -> None: ...


class Hub:
    @staticmethod
    def call_repeatedly(*_: object) -> None: ...


class Worker:
    """Stands for what Celery says that is ready."""

    app = Celery(set_as_current=False)
    hub = Hub
    pool = Pool
