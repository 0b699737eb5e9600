"""The settings that keep a worker from losing, hoarding, hanging or executing what it is sent."""

import time
from types import SimpleNamespace
from typing import Any

import billiard.pool
import pytest

from domain.jobs import Queue
from workers.app import LAST_WORDS_SECONDS_MAX, TASK_SECONDS_MAX, app

pytestmark = pytest.mark.usefixtures("configured")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("task_acks_late", True),
        ("task_reject_on_worker_lost", True),
        ("task_serializer", "json"),
        ("accept_content", ["json"]),
        ("task_ignore_result", True),
        ("result_backend", None),
        ("task_create_missing_queues", False),
        ("task_publish_retry", False),
        ("task_time_limit", 25),
        ("task_soft_time_limit", 20),
        ("worker_prefetch_multiplier", 1),
        ("worker_cancel_long_running_tasks_on_connection_loss", False),
        ("worker_soft_shutdown_timeout", 10),
        ("worker_enable_soft_shutdown_on_idle", True),
        ("worker_send_task_events", True),
        ("broker_connection_retry_on_startup", True),
        ("broker_connection_max_retries", None),
    ],
)
def test_a_setting_is_what_the_failure_it_removes_asks_for(setting: str, expected: object) -> None:
    assert getattr(app.conf, setting) == expected


def test_no_running_task_is_delivered_a_second_time() -> None:
    assert app.conf.broker_transport_options["visibility_timeout"] > 2 * TASK_SECONDS_MAX


@pytest.mark.parametrize("option", ["socket_timeout", "socket_connect_timeout", "health_check_interval"])
def test_a_broker_that_hangs_is_noticed(option: str) -> None:
    assert 0 < app.conf.broker_transport_options[option] <= 10


def test_there_is_one_plain_queue_a_subdomain() -> None:
    queues: list[Any] = app.conf.task_queues
    assert [queue.name for queue in queues] == [queue.value for queue in Queue]
    assert {queue.exchange.type for queue in queues} == {"direct"}


@pytest.mark.parametrize("queue", list(Queue))
def test_a_task_goes_to_the_queue_of_its_name(queue: Queue) -> None:
    route = app.amqp.router.route({}, f"{queue}.settle")
    assert route["queue"].name == queue.value


def test_housekeeping_is_asked_for_by_the_clock_and_forgotten_when_late() -> None:
    app.loader.import_default_modules()
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
        assert entry["options"]["expires"] <= entry["schedule"]


def test_a_child_whose_parent_reads_no_more_ends_soon() -> None:
    child: Any = object.__new__(billiard.pool.Worker)
    child.on_ready_counter = SimpleNamespace(value=0)
    started = time.monotonic()
    assert child._ensure_messages_consumed(completed=1) is False  # noqa: SLF001 - what it does before it ends
    assert time.monotonic() - started < 2 * LAST_WORDS_SECONDS_MAX
