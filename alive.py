"""`python -m alive`: whether this container's process does its work; for health checks and liveness probes.

Exits with 1 and a sentence when work waits for it and it has finished none for a minute, which a restart may mend.
Exits with 0 when it does its work, has none, or when what it depends on is away, which no restart mends
(docs/decisions/0014-alive-means-work-is-finished.md). Which process it is, the command of the first one tells.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx2

from domain.jobs import Queue
from settings import Settings, settings
from workers import heartbeat

SILENCE_SECONDS_MAX = 60.0  # A task ends within 25 s, and the sweeper rings every second for what is overdue.
BEAT_SILENCE_SECONDS_MAX = 180.0  # It asks for something every 30 s.
ANSWER_SECONDS_MAX = 5.0
FIRST_PROCESS = Path("/proc/1/cmdline")


def main(command: Sequence[str] | None = None) -> None:
    """Exit with 1 and a sentence when the process that `command` starts does not do its work."""
    if finding := complaint(_first_command() if command is None else command, settings()):
        sys.exit(f"alive: {finding}")


def _first_command() -> list[str]:
    return FIRST_PROCESS.read_bytes().decode().split("\0")


def complaint(command: Sequence[str], config: Settings) -> str:
    """Return what is wrong with the process that `command` starts; nothing if all is well, or nobody can tell."""
    words = set(command)
    if "worker" in words:
        return _worker(command[command.index("-Q") + 1], config)
    for word, judge in JUDGES.items():
        if word in words:
            return judge(command, config)
    return ""  # A migration, a shell: they end by themselves.


def _api(_: Sequence[str], config: Settings) -> str:
    return _answer(f"http://127.0.0.1:{config.api_port}/health/live")


def _flower(command: Sequence[str], config: Settings) -> str:
    prefix = next((f"/{word.partition('=')[2]}" for word in command if word.startswith("--url_prefix=")), "")
    return _answer(f"http://127.0.0.1:{config.flower_port}{prefix}/healthcheck")


def _answer(url: str) -> str:
    try:
        answer = httpx2.get(url, timeout=ANSWER_SECONDS_MAX, trust_env=False)
    except httpx2.TransportError as error:
        return f"{url} does not answer: {error or type(error).__name__}"
    return "" if answer.is_success else f"{url} answers {answer.status_code}"


def _worker(queue: str, config: Settings) -> str:
    """A worker is deaf when a message or an overdue job of its queue waits, and it finishes nothing."""
    silence = heartbeat.silence_seconds(heartbeat.worker(queue))
    if silence <= SILENCE_SECONDS_MAX:
        return ""
    messages = _messages(queue)
    if messages is None:  # Nobody can ring for it.
        return ""
    if messages or _is_overdue(queue, config):
        return f"work waits in {queue}, and this worker has finished none for {silence:.0f} s"
    return ""


def _sweeper(_: Sequence[str], config: Settings) -> str:
    silence = heartbeat.silence_seconds(heartbeat.SWEEPER)
    if silence <= SILENCE_SECONDS_MAX or not _database_answers(config):
        return ""
    return f"the database answers, and this sweeper has not swept for {silence:.0f} s"


def _beat(_: Sequence[str], __: Settings) -> str:
    silence = heartbeat.silence_seconds(heartbeat.BEAT)
    if silence <= BEAT_SILENCE_SECONDS_MAX or _messages(Queue.MAINTENANCE) is None:
        return ""
    return f"the broker answers, and beat has asked for nothing for {silence:.0f} s"


JUDGES: Mapping[str, Callable[[Sequence[str], Settings], str]] = {
    "api": _api,
    "flower": _flower,
    "beat": _beat,
    "workers.sweeper": _sweeper,
}


# The imports below take a second of a core: a probe asks only when there is silence.


def _messages(queue: str) -> int | None:
    """Return how many messages wait in the queue; None when the broker does not answer."""
    from workers import bell  # noqa: PLC0415 - see above

    return bell.waiting(Queue(queue))


def _is_overdue(queue: str, config: Settings) -> bool:
    import db.jobs  # noqa: PLC0415 - see above
    import db.outbox  # noqa: PLC0415 - see above
    from db.engine import DatabaseError, transaction  # noqa: PLC0415 - see above

    try:
        with transaction(config.database_worker_url) as tx:
            found = [*db.jobs.overdue(tx, SILENCE_SECONDS_MAX), *db.outbox.overdue(tx, SILENCE_SECONDS_MAX)]
    except DatabaseError:
        return False
    return any(one.queue == queue for one in found)


def _database_answers(config: Settings) -> bool:
    from db.engine import DatabaseError, ping, transaction  # noqa: PLC0415 - see above

    try:
        with transaction(config.database_worker_url) as tx:
            ping(tx)
    except DatabaseError:
        return False
    return True


if __name__ == "__main__":
    main()
