"""A worker that is up, connected and deaf is found out; those beside it are left alone."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

import alive
import settings
from tests.programs.rollout.conftest import Platform, Tell

DEAF = "worker-wallets"
OTHERS = ("customers", "transactions", "webhooks", "maintenance")
FOUND_SECONDS_MAX = alive.SILENCE_SECONDS_MAX + 30
LOOK_SECONDS = 1.0


@pytest.fixture
def config(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[settings.Settings]:
    """Let a probe of this process see the running system."""
    for name, value in platform.world.stack.env.items():
        monkeypatch.setenv(name, value)
    settings.settings.cache_clear()
    yield settings.settings()
    settings.settings.cache_clear()


def test_a_deaf_worker_is_found_out_and_no_other(platform: Platform, config: settings.Settings, tell: Tell) -> None:
    pid, world = platform.world.stack.pid(DEAF), platform.world
    os.kill(pid, signal.SIGSTOP)  # It keeps its connections, and hears nothing.
    began_at = time.monotonic()
    try:
        wallet_id = _ask_for_a_wallet(platform)
        while not _complaint(DEAF.removeprefix("worker-"), config):
            assert time.monotonic() - began_at < FOUND_SECONDS_MAX, "nobody noticed"
            time.sleep(LOOK_SECONDS)
        tell(f"a deaf worker was found out after {time.monotonic() - began_at:.0f} s")
        assert {queue: _complaint(queue, config) for queue in OTHERS} == dict.fromkeys(OTHERS, "")
    finally:
        os.kill(pid, signal.SIGCONT)
    world.wait_finished([wallet_id])
    assert _complaint(DEAF.removeprefix("worker-"), config) == ""


def _ask_for_a_wallet(platform: Platform) -> str:
    with platform.world.tx() as tx:
        customer_id = str(tx.scalar(text("SELECT id FROM customers LIMIT 1")))
    body = {"currency": "RWF", "type": "personal", "customer_id": customer_id}
    return str(platform.world.post("/v1/wallets", body).json()["id"])


def _complaint(queue: str, config: settings.Settings) -> str:
    return alive.complaint(["python", "-m", "workers", "worker", "-Q", queue], config)
