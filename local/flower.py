"""Flower asks the workers who they are once, as it starts, which is before they have started: ask it to ask again."""

import time

import httpx2

from domain.jobs import Queue
from local.stack import Stack

SECONDS_MAX = (
    15.0  # Workers answer two seconds after the API; without them Flower shows less, and nothing else is lost.
)
ANSWER_SECONDS_MAX = 5.0  # Flower collects the workers' answers for a second.
PAUSE_SECONDS = 0.2


def introduce_workers(stack: Stack) -> bool:
    """Have Flower look until it has seen a worker for each queue; return whether it has."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        if _seen(stack) >= {queue.value for queue in Queue}:
            return True
        time.sleep(PAUSE_SECONDS)
    return False


def _seen(stack: Stack) -> set[str]:
    """Return the queues that Flower knows a worker of, after asking all workers anew."""
    credentials = (stack.env["FLOWER_USER"], stack.env["FLOWER_PASSWORD"])
    url = f"{stack.flower_url}/api/workers?refresh=true"
    try:
        answer = httpx2.get(url, auth=credentials, timeout=ANSWER_SECONDS_MAX, trust_env=False)
        workers = answer.raise_for_status().json()
    except (httpx2.HTTPError, ValueError):
        return set()
    return {queue["name"] for worker in workers.values() for queue in worker.get("active_queues", [])}
