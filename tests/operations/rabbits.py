"""RabbitMQ from the system's package, in a folder and on ports of a test's own."""

import contextlib
import os
import signal
import time
from pathlib import Path

from kombu import Connection

from local import account, ports
from local.child import Child
from tests.operations.packages import program
from tests.supervised import Supervised

NAME = "rabbitmq"
PORT_MAPPER = "epmd"  # Erlang's, without which no node starts; it would outlive the test if the node started it.
USER, PASSWORD, VHOST = "tekana", "of-the-queue", "tekana"
MEMORY = "256MB"  # It shares the machine; a queue of doorbells is short.
# Debian's own start script runs the broker as a user of the system.
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class Rabbit:
    def __init__(self, supervised: Supervised) -> None:
        self.port = ports.free()
        self._supervised = supervised
        self._mapper_port = ports.free()

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{PASSWORD}@{ports.HOST}:{self.port}/{VHOST}"

    def start(self) -> None:
        program("rabbitmq-server", package="rabbitmq-server")
        folder, user = self._supervised.folder / NAME, account.account()
        folder.mkdir()
        account.own(folder, user)
        config = folder / "rabbitmq.conf"
        config.write_text(self._config(), encoding="ascii")
        argv = (str(program("epmd", package="erlang-base")), "-port", str(self._mapper_port), "-address", ports.HOST)
        env = {"HOME": str(folder), "PATH": os.environ["PATH"]}
        mapper = Child(name=PORT_MAPPER, argv=argv, env=env, cwd=folder, stage=0, account=user)
        self._supervised.start(mapper, lambda: not ports.is_free(self._mapper_port))
        env |= self._environment(folder)
        child = Child(name=NAME, argv=(str(PROGRAM),), env=env, cwd=folder, stage=1, account=user)
        self._supervised.start(child, self._answers)

    def kill(self) -> None:
        """Kill it, and return when it is back with what it had written."""
        self._supervised.kill(NAME)

    def hold(self) -> None:
        """Kill it and keep it down until `release`."""
        self._supervised.hold(NAME)

    def release(self) -> None:
        self._supervised.release(NAME)

    def freeze(self, seconds: float) -> None:
        """Let it keep its connections and answer nothing for so long."""
        group = self._supervised.pid(NAME)
        os.killpg(group, signal.SIGSTOP)
        time.sleep(seconds)
        os.killpg(group, signal.SIGCONT)

    def _config(self) -> str:
        return (
            f"listeners.tcp.1 = {ports.HOST}:{self.port}\n"
            f"default_user = {USER}\ndefault_pass = {PASSWORD}\ndefault_vhost = {VHOST}\n"
            f"vm_memory_high_watermark.absolute = {MEMORY}\n"
            "disk_free_limit.absolute = 50MB\n"
        )

    def _environment(self, folder: Path) -> dict[str, str]:
        return {
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": ports.HOST,
            "RABBITMQ_NODENAME": "tekana@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(ports.free()),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), Connection(self.url, connect_timeout=1) as connection:
            connection.connect()
            return True
        return False
