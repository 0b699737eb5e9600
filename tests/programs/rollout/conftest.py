"""Two API processes behind a real nginx, supervised with all the rest; figures are shown at the end."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
import pytest

from local import ports
from local.stack import Stack
from tests.conftest import environment, reachable_folder
from tests.flows.world import World
from tests.programs.gateway.nginx import Nginx
from tests.reports import keep, kept

TRIALS = int(os.environ.get("ROLLOUT_TRIALS", "3"))
FIGURES = "rollout figures"  # A property of a test's report.
RATE = "10000000"  # Jobs a minute: never met, but counted in Redis as in production.
REPLICA = "api-2"
# All clients of a test have one address: what is meant for a flood from one would meet them all.
NO_FLOOD = {"rate=200r/s": "rate=100000r/s"}

Tell = Callable[[str], None]


class Platform(NamedTuple):
    """The system as clients see it through nginx."""

    world: World
    nginx: Nginx
    api_ports: dict[str, int]  # By the process's name.

    def passed_on(self) -> int:
        """Count the requests so far that nginx sent to a second process, because the first did not answer them."""
        lines = self.nginx.log.read_bytes().splitlines()
        return sum("," in msgspec.json.decode(line)["upstream"] for line in lines if line.endswith(b"}"))


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    replica_port = ports.free()
    settings = environment(POSTS_PER_MINUTE_MAX=RATE, TRUSTED_PROXIES="127.0.0.0/8")
    with reachable_folder() as folder, Stack(folder, settings) as stack:
        stack.start()
        stack.replicate("api", REPLICA, API_PORT=str(replica_port))
        api_ports = {"api": int(stack.env["API_PORT"]), REPLICA: replica_port}
        gateway = folder / "gateway"
        gateway.mkdir()
        with (
            Nginx(gateway, (api_ports["api"], replica_port), int(stack.env["FLOWER_PORT"]), **NO_FLOOD) as nginx,
            contextlib.closing(World(stack, nginx.url)) as world,
        ):
            world.start()
            world.fill()
            yield Platform(world, nginx, api_ports)
        stack.command("audit", "verify")  # Raises unless every invariant holds to the end.


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Keep a sentence with the test's report, from where it is shown."""
    return lambda sentence: keep(request, FIGURES, sentence)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("rollout")
    for sentence in kept(terminalreporter, FIGURES, str):
        terminalreporter.write_line(sentence)
