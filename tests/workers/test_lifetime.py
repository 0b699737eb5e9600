"""What a worker's parent does once it is ready. What its pool children do shows in the flows, where they settle."""

import gc
from collections.abc import Iterator

import pytest
from celery.signals import worker_ready
from celery.worker.state import successful_requests

pytestmark = pytest.mark.usefixtures("configured")


@pytest.fixture
def ready() -> Iterator[None]:
    """A parent that was ready a moment ago, which this process is not in any other test."""
    from workers.lifetime import stay_small  # noqa: PLC0415 - reads the settings, which only `configured` has made

    assert stay_small in [receiver() for _, receiver in worker_ready.receivers]
    kept = successful_requests.maxlen
    stay_small()
    yield
    gc.unfreeze()
    successful_requests.clear()
    successful_requests.maxlen = kept


@pytest.mark.usefixtures("ready")
def test_a_parent_leaves_what_it_has_loaded_out_of_the_search_for_garbage() -> None:
    loaded = gc.get_freeze_count()
    assert loaded > len(gc.get_objects())


@pytest.mark.usefixtures("ready")
def test_a_parent_remembers_the_latest_of_its_tasks_only() -> None:
    from workers.lifetime import SUCCESSFUL_MAX  # noqa: PLC0415 - as above

    done = [str(number) for number in range(2 * SUCCESSFUL_MAX)]
    for task in done:
        successful_requests.add(task)
    assert [task for task in done if task in successful_requests] == done[SUCCESSFUL_MAX:]
