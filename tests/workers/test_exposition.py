"""A worker shows on a port what all its pool children have counted, those that died as well."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import httpx2
import prometheus_client.values
import pytest
from celery.concurrency.prefork import TaskPool
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from domain.jobs import JobState, Kind, Queue
from local import ports
from settings import Settings
from tests import committed
from tests.flows.faults import children
from tests.made import submission
from workers import bell, exposition
from workers.app import app
from workers.children import Children
from workers.exposition import Shown

ROOT = Path(__file__).parents[2]
START_SECONDS_MAX = 30.0
NOBODY = {"customer_id": str(UUID(int=0)), "currency": "RWF", "type": "personal"}
REJECTED = 'tekana_jobs_finished_total{code="customer_not_found",kind="wallet.open",state="rejected"}'


class Scraped:
    """A process with a metrics port."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self._url = f"http://{ports.HOST}:{port}/metrics"

    def text(self) -> str:
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(self._url, timeout=5, trust_env=False).text
        return ""

    def value(self, series: str) -> float | None:
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.text(), re.MULTILINE)
        return None if found is None else float(found[1])


@contextlib.contextmanager
def running(log: Path, *argv: str, port: int = 0) -> Iterator[Scraped]:
    """Run a process of ours on the settings of this one, with a free port for its metrics unless one is given."""
    port = port or ports.free()
    changed = dict(os.environ) | {"METRICS_PORT": str(port), "TMPDIR": str(log.parent)}
    command = [sys.executable, "-m", *argv]
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command, cwd=ROOT, env=changed, stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            yield Scraped(process, port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_SECONDS_MAX)


WORKER = ("workers", "worker", "-Q", "wallets", "-n", "metrics@%h", "--concurrency", "1", "--without-mingle")


@pytest.fixture
def worker(url: str, tmp_path: Path) -> Iterator[Scraped]:
    """A worker of wallets, which has a child."""
    assert url
    with running(tmp_path / "worker.log", *WORKER) as scraped:
        eventually(lambda: scraped.value('tekana_worker_children{queue="wallets"}') == 1)
        eventually(lambda: scraped.value("tekana_rings_failed_total") == 0)
        yield scraped


def test_what_a_child_counted_survives_it_without_one_more_file_for_each_scrape_to_read(
    url: str, worker: Scraped, tmp_path: Path
) -> None:
    settle(url)
    eventually(lambda: worker.value(REJECTED) == 1)
    [folder] = tmp_path.glob("tekana-metrics-*")
    before = sorted(folder.iterdir())
    [child] = children(worker.process.pid)
    os.kill(child, signal.SIGKILL)
    eventually(lambda: set(children(worker.process.pid)) - {child} != set())
    settle(url)
    eventually(lambda: worker.value(REJECTED) == 2)
    assert sorted(folder.iterdir()) == before


def test_a_worker_shows_itself_and_its_children_which_cannot_keep_its_port_when_it_dies(worker: Scraped) -> None:
    [child] = children(worker.process.pid)
    assert [listens(pid, worker.port) for pid in (worker.process.pid, child)] == [True, False]
    assert (worker.value(f'tekana_worker_child_resident_memory_bytes{{pid="{child}"}}') or 0) > 10_000_000
    assert (worker.value("process_resident_memory_bytes") or 0) > 10_000_000
    assert 'tekana_build_info{python="' in worker.text()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody says whose a socket is")
def test_a_worker_whose_children_are_not_there_yet_has_none() -> None:
    worker = SimpleNamespace(pool=TaskPool(1), app=SimpleNamespace(amqp=app.amqp))
    assert [sample.value for family in Children(worker).collect() for sample in family.samples if sample.value] == []


def listens(pid: int, port: int) -> bool:
    """Tell whether a process holds the socket that listens on a port of this machine (proc(5), /proc/net/tcp)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    listening = {f"socket:[{line[9]}]" for line in lines if line[3] == "0A" and line[1].endswith(f":{port:04X}")}
    held = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    return bool(listening & held)


def test_a_worker_that_is_asked_to_stop_leaves_no_files(url: str, tmp_path: Path) -> None:
    assert url
    with running(tmp_path / "worker.log", *WORKER) as scraped:
        eventually(lambda: scraped.value('tekana_worker_children{queue="wallets"}') == 1)
        assert list(tmp_path.glob("tekana-metrics-*"))
    assert list(tmp_path.glob("tekana-metrics-*")) == []


def test_a_worker_works_without_a_port_that_another_program_has(url: str, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with socket.create_server((ports.HOST, 0)) as taken, running(log, *WORKER, port=port_of(taken)):
        job_id = settle(url)
        eventually(lambda: committed.states(url, [job_id]) == [JobState.REJECTED])
    assert "metrics not shown" in log.read_text(encoding="utf-8")


def port_of(listening: socket.socket) -> int:
    port: int = listening.getsockname()[1]
    return port


@pytest.mark.usefixtures("url")
def test_the_sweeper_shows_its_sweeps(tmp_path: Path) -> None:
    with running(tmp_path / "sweeper.log", "workers.sweeper") as scraped:
        eventually(lambda: (scraped.value('tekana_sweeps_total{result="done"}') or 0) >= 1)
        assert "_created" not in scraped.text()


@pytest.mark.usefixtures("url")
def test_beat_shows_itself(tmp_path: Path) -> None:
    beat = ("workers", "beat", "--schedule", str(tmp_path / "schedule"))
    with running(tmp_path / "beat.log", *beat) as scraped:
        eventually(lambda: "tekana_build_info" in scraped.text())


def test_a_gauge_of_a_child_that_died_is_forgotten_and_its_counts_are_not(
    tmp_path: Path, configured: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(exposition.FOLDER, str(tmp_path))
    monkeypatch.setattr(prometheus_client.values, "ValueClass", prometheus_client.values.ValueClass)
    monkeypatch.setattr(exposition, "shown", opened := Shown())
    opened.server, opened.folder = start_http_server(ports.free(), configured.metrics_host)[0], tmp_path

    exposition.count_in_files()
    Gauge("now", "As it is.", multiprocess_mode="livesum", registry=CollectorRegistry()).set(1)
    Counter("ever", "As it was.", registry=CollectorRegistry()).inc(2)
    before = in_files(tmp_path)
    exposition.count_in_files()  # Of the next child.

    assert (before["now"], before["ever_total"]) == (1, 2)
    assert in_files(tmp_path) == {name: value for name, value in before.items() if name != "now"}


def in_files(folder: Path) -> dict[str, float]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call] # untyped library
    return {
        sample.name: sample.value for family in registry.collect() for sample in family.samples if not sample.labels
    }


def settle(url: str) -> UUID:
    """Queue a job and ring for it."""
    [job_id] = committed.queued(url, submission(Kind.WALLET_OPEN, NOBODY))
    bell.announce(Queue.WALLETS, 1, job_id)
    return job_id


def eventually(is_so: Callable[[], bool], seconds_max: float = START_SECONDS_MAX) -> None:
    deadline = time.monotonic() + seconds_max
    while not is_so():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
