"""Tasks are what a message may ask for: to drain a queue, or to keep house, and nothing else."""

import pytest

from domain.jobs import JobState, Kind, Queue
from tests import committed
from tests.made import registration, submission
from workers import batches, tasks
from workers.app import app

NOBODY = {"customer_id": "00000000-0000-0000-0000-000000000000", "currency": "RWF", "type": "personal"}
TASKS = {
    Kind.CUSTOMER_REGISTER: (tasks.settle_customers, registration()),
    Kind.WALLET_OPEN: (tasks.settle_wallets, NOBODY),
    Kind.TRANSFER_CREATE: (tasks.settle_transactions, {"amount": 1, "currency": "RWF"}),
}


@pytest.mark.parametrize("kind", list(TASKS))
def test_a_task_drains_its_queue_whatever_the_message_said(url: str, kind: Kind) -> None:
    task, payload = TASKS[kind]
    ids = committed.queued(url, submission(kind, payload))
    assert sum(task(99, "no job of ours").values()) == 1
    assert committed.states(url, ids)[0] in {JobState.SUCCEEDED, JobState.REJECTED}


@pytest.mark.parametrize("kind", list(TASKS))
def test_a_task_looks_for_more_when_it_has_settled_something(
    url: str, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, payload = TASKS[kind]
    committed.queued(url, submission(kind, payload))
    monkeypatch.setattr(tasks, "LINGER_SECONDS", 60.0)  # A look takes longer than what it is, on a slow machine.
    monkeypatch.setattr(batches, "LOOK_SECONDS", -1.0)  # Which nobody can wait for.
    with pytest.raises(ValueError, match="sleep length"):
        task(1, "x")


def test_a_bogus_ring_does_nothing(url: str) -> None:
    assert tasks.settle_transactions(1, "x") == {"succeeded": 0, "rejected": 0}
    assert committed.execute(url, "SELECT FROM jobs") == []


@pytest.mark.usefixtures("url")
def test_housekeeping_may_be_asked_for_at_any_time() -> None:
    tasks.purge()  # The database may be of last month: then another one is made room for.
    nothing = {"sessions": 0, "partitions_added": 0, "partitions_dropped": 0}
    assert (tasks.fold(), tasks.purge()) == ({"wallets": 0}, nothing)


@pytest.mark.usefixtures("configured")
def test_nothing_else_can_be_asked_for() -> None:
    app.loader.import_default_modules()
    ours = {name for name in app.tasks if not name.startswith("celery.")}
    assert ours == {f"{queue}.settle" for queue in set(Queue) - {Queue.MAINTENANCE}} | {
        "maintenance.fold",
        "maintenance.purge",
        "maintenance.seal",
    }
