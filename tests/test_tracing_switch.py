"""Traces are off unless a setting says so; off they need nothing, and on they hold nothing up."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tracing
from local import ports
from settings import Settings

ROOT = Path(__file__).parents[1]
STOP_SECONDS_MAX = tracing.END_SECONDS + 3


def run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_where_it_is_off_opentelemetry_need_not_be_installed() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import api.app, workers.lifetime, workers.courier, workers.sweeper, workers.tasks\n"
        "print('spans' in sys.modules)"
    )
    assert run(program) == "False"


def test_whoever_switches_it_on_without_opentelemetry_is_told_what_is_missing() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import settings, tracing\n"
        "try:\n    tracing.begin('trial')\n"
        "except settings.SettingsError as error:\n    print(error)"
    )
    assert "requirements-tracing.lock" in run(program)


def test_a_worker_that_cannot_trace_does_not_start() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import os; os.environ |= {'MODE': 'development', 'TRACING': 'true'}\n"
        "os.environ |= {'DATABASE_WORKER_URL': 'postgresql+psycopg://w@db.example/t', 'REDIS_URL': 'redis://r.example'}\n"
        "os.environ |= {'SEAL_KEY': 's' * 32, 'PII_KEYS': ''}\n"
        "import workers.__main__\n"
        "sys.argv = ['workers', 'worker', '-Q', 'wallets']\n"
        "try:\n    workers.__main__.main()\n"
        "except SystemExit as ended:\n    print('status', ended.code)"
    )
    said = run(program)
    assert "requirements-tracing.lock" in said
    assert said.endswith("status 1")


@pytest.mark.parametrize("is_on", [False, True])
def test_a_process_is_traced_if_its_settings_say_so(is_on: bool) -> None:  # noqa: FBT001 - a row of two
    with tracing.traced(Settings(tracing=is_on), "trial"):
        assert tracing.is_on() == is_on
    assert not tracing.is_on()


def test_a_collector_that_never_answers_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((ports.HOST, 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{ports.HOST}:{silent.getsockname()[1]}")
        tracing.begin("trial")
        with tracing.request("GET", None) as tell:
            tell({"http.route": "/", "http.response.status_code": 200})
        started = time.monotonic()
        tracing.end()
    assert time.monotonic() - started < STOP_SECONDS_MAX
