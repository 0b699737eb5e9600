"""Flows: whole stories with real processes. Figures of the faults are gathered and shown at the end."""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import msgspec
import pytest

from local.stack import Stack
from tests.conftest import environment, reachable_folder
from tests.flows.books import Trial
from tests.flows.figures import PROPERTY, merge, table
from tests.flows.receivers import Receivers, register
from tests.flows.seeds import SEED
from tests.flows.told import untold
from tests.flows.trials import ROWS, Case, cases
from tests.flows.ways import Ways
from tests.flows.world import WEBHOOK_SETTINGS, World
from tests.reports import kept

RATE = "10000000"  # Jobs a minute: never met, but counted in Redis as in production.
ANSWERS_MAX = 30_000  # Of one world; an audit of so many jobs takes a second.

FIGURES = pytest.StashKey[Trial]()  # Of a trial's test.

Recorder = Callable[[Trial], None]
Prepare = Callable[[Stack], str]


def pytest_report_header() -> str:
    return f"seed: {SEED} (SEED={SEED} draws the same again)"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes a trial those that the table has for it."""
    if "trial" in metafunc.fixturenames:
        test = f"{Path(str(metafunc.definition.path)).name}::{metafunc.function.__name__}"
        metafunc.parametrize("trial", cases(test), ids=str)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests of which nothing is to be tried: the quick set has none of some rows."""
    idle = [item for item in items if _is_idle(item)]
    config.hook.pytest_deselected(items=idle)
    items[:] = [item for item in items if item not in idle]


def _is_idle(item: pytest.Item) -> bool:
    params = _params(item)
    return "trial" in params and not isinstance(params["trial"], Case)


def _params(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


def direct(_: Stack) -> str:
    """Change nothing; clients know where the API is."""
    return ""


@contextlib.contextmanager
def running(prepare: Prepare = direct, folder: Path | None = None) -> Iterator[World]:
    """Run a system that flows may break, with counted rates: the last thing each test sees is that it works again.

    `prepare` may change the processes' environment when the servers run, and returns where clients find the API;
    `folder` is where all data lies, if not anywhere.
    Somebody listens all the time, and must in the end have been told of every job that ended.
    """
    settings = environment(POSTS_PER_MINUTE_MAX=RATE, **WEBHOOK_SETTINGS)
    somewhere = reachable_folder() if folder is None else contextlib.nullcontext(folder)
    with somewhere as data, Stack(data, settings) as stack, Receivers() as receivers:
        stack.start_servers()
        url = prepare(stack)
        stack.migrate()
        stack.start_processes()
        stack.wait_ready()
        with contextlib.closing(World(stack, url)) as world:
            world.start()
            listener = register(world, receivers.open())
            world.fill()
            yield world
            assert untold(world, listener) == []
        stack.command("audit", "verify")  # Raises unless every invariant holds to the end.


class Worlds:
    """One world after the other: a new one when so much has happened that audits would take longer than trials.

    And when a trial failed: what is expected of the world's wallets may be wrong since then, for all trials after it.
    """

    def __init__(self, prepare: Prepare = direct) -> None:
        self._prepare = prepare
        self._world: World | None = None
        self._running = contextlib.ExitStack()

    def current(self) -> World:
        if self._world is not None and (self._world.is_spoilt or self._world.acknowledged.count > ANSWERS_MAX):
            self.close()
        if self._world is None:
            self._world = self._running.enter_context(running(self._prepare))
        return self._world

    def close(self) -> None:
        self._world = None
        self._running.close()


@pytest.fixture(scope="session")
def worlds() -> Iterator[Worlds]:
    with contextlib.closing(Worlds()) as worlds:
        yield worlds


@pytest.fixture
def world(worlds: Worlds) -> World:
    return worlds.current()


@pytest.fixture(scope="module")
def linked_worlds(ways: Ways) -> Iterator[Worlds]:
    """Worlds whose processes and clients meet over a module's own `ways`, beside the one that all tests share."""
    with contextlib.closing(Worlds(ways.lead)) as worlds:
        yield worlds


@pytest.fixture
def linked(linked_worlds: Worlds) -> World:
    return linked_worlds.current()


@pytest.fixture
def recorder(request: pytest.FixtureRequest) -> Recorder:
    """Take a trial's figures, before the test says which promises were broken: how it ends is kept with them."""

    def record(trial: Trial) -> None:
        assert ROWS[trial.fault].test == f"{request.path.name}::{request.function.__name__}"
        request.node.stash[FIGURES] = trial

    return record


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep each trial with its test's last report, from where the table is made.

    It has failed if its test did, at whatever it was: a broken promise, a client's surprise before there were any
    figures, the end of its world after them.
    """
    report = yield
    case = _params(item).get("trial")
    if report.failed and isinstance(case, Case):
        for world in (one for one in item.funcargs.values() if isinstance(one, World)):
            world.is_spoilt = True
            report.sections.append(("what the API said", world.said()))
        item.stash[FIGURES] = msgspec.structs.replace(item.stash.get(FIGURES, Trial(fault=case.row)), failed=1)
    if report.when == "teardown" and FIGURES in item.stash:
        report.user_properties.append((PROPERTY, msgspec.to_builtins(item.stash[FIGURES])))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    trials = kept(terminalreporter, PROPERTY, Trial)
    if not trials:
        return
    terminalreporter.section("faults")
    terminalreporter.write(f"seed {SEED}\n\n{table(trials)}")
    if not (path := os.environ.get("FAULTS_KEPT")):
        return
    if _ended_badly(terminalreporter):
        terminalreporter.write_line("Nothing of it is kept: a world's end, which speaks of all trials in it, failed.")
    else:
        merge(Path(path), trials)


def _ended_badly(reporter: pytest.TerminalReporter) -> bool:
    """Return whether something failed after a test that was no trial, so that no trial says so."""
    errors = (report for report in reporter.stats.get("error", ()) if isinstance(report, pytest.TestReport))
    return any(report.when == "teardown" and PROPERTY not in dict(report.user_properties) for report in errors)
