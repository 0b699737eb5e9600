"""`python -m bench.overload`: three times too many requests for a while, and a small caller beside them.

By hand only: it takes its minutes. It ends with 1 if an accepted job did not end, or if a minute later accepting
still takes longer than before. On a small machine accepting is what takes the time, so that nothing would pile up:
workers get batches so small that they are the slower ones.
"""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

import click
import msgspec

from bench import load
from bench.__main__ import GIVEN, SETTINGS
from bench.load import QUEUED, Bank, query
from bench.prober import ACCEPTED, Prober, p99_ms, recovery_seconds
from local.stack import Stack

CLIENTS = 64  # What the capacity is measured with.
CAPACITY_SECONDS = 10
TIMES = 3
WALLETS = 200
BEFORE_SECONDS = 10
WINDOW_SECONDS = 5.0  # 50 requests of the prober.
NORMAL_TIMES = 2.0  # Above the 99th percentile of before: one slow commit of a shared machine is no overload.
NORMAL_MS_MIN = 50.0  # Whatever an idle machine does, a client does not notice that.
RECOVERY_SECONDS_MAX = 60.0
DRAIN_SECONDS_MAX = 300.0  # Then what is queued counts as lost.
ANSWERS = re.compile(r'tekana_http_requests_total\{method="POST",route="/v1/transfers",status="(\d+)"\} (\S+)')
LOADER = "SELECT caller FROM jobs WHERE kind = 'transfer.create' ORDER BY id DESC LIMIT 1"
JOBS = "SELECT count(*) FROM jobs WHERE caller = '{caller}'"
UNFINISHED = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'failed')"
WAITED = """
    SELECT coalesce(percentile_disc(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at)), 0)
      FROM jobs WHERE id = ANY('{{{ids}}}')
"""


class Overload(msgspec.Struct, frozen=True, kw_only=True):
    """Rates are per second. The prober is an integrator of its own, who asks ten times a second."""

    seconds: int
    queue_jobs_max: int
    capacity: float  # Settled, with CLIENTS connections.
    answered: float  # Whatever with, to TIMES as many connections.
    accepted: int
    answered_503: int
    other_errors: int
    late: int  # Later than wrk waits, which is two seconds, or on a broken connection.
    queued_at_the_end: int
    drained_seconds: float
    lost: int  # Accepted and not there, or not ended.
    prober_asked: int
    prober_refused: int
    prober_settled_p99_ms: float  # From acceptance to its end, during the overload.
    accept_p99_ms_before: float
    accept_p99_ms_during: float
    accept_p99_ms_after: float
    recovery_seconds: float

    @property
    def is_well(self) -> bool:
        return self.lost == 0 and self.recovery_seconds <= RECOVERY_SECONDS_MAX


@click.command()
@click.option("--minutes", default=5.0, show_default=True, help="Length of the overload.")
@click.option("--after-seconds", default=75, show_default=True, help="For how long to look at what follows.")
@click.option("--mark", default=5_000, show_default=True, help="QUEUE_JOBS_MAX, so low that a short run meets it.")
@click.option("--batch-max", default=10, show_default=True, help="BATCH_MAX, so low that settling is the slower part.")
def main(*, minutes: float, after_seconds: int, mark: int, batch_max: int) -> None:
    """Overload a stack of its own, and print what came of it as JSON."""
    changed = SETTINGS | {"QUEUE_JOBS_MAX": str(mark), "BATCH_MAX": str(batch_max)}
    environment = {name: value for name, value in os.environ.items() if name not in GIVEN} | changed
    with tempfile.TemporaryDirectory(prefix="tekana-overload-") as folder:
        Path(folder).chmod(0o711)
        with Stack(Path(folder), environment, say=_say) as stack:
            stack.start()
            found = overload(stack, round(minutes * 60), after_seconds, mark)
            stack.command("audit", "verify")
    print(msgspec.json.format(msgspec.json.encode(found)).decode())  # noqa: T201 - what was asked for
    sys.exit(0 if found.is_well else 1)


def overload(stack: Stack, seconds: int, after_seconds: int, mark: int) -> Overload:
    bank, small = Bank(stack), Bank(stack)
    wallets, own = bank.fund_wallets(WALLETS), small.fund_wallets(2)
    capacity = load.run(stack, bank, wallets, clients=CLIENTS, seconds=CAPACITY_SECONDS).settled_per_second
    caller = query(stack, LOADER)
    jobs, answers = int(query(stack, JOBS.format(caller=caller))), _answers(bank)
    _say(f"capacity {capacity} /s; {seconds} s of {TIMES * CLIENTS} connections")
    prober = Prober(small, own)
    with prober.running():
        time.sleep(BEFORE_SECONDS)
        began = time.monotonic()
        taken = load.accept(stack, bank, wallets, clients=TIMES * CLIENTS, seconds=seconds)
        ended = time.monotonic()
        queued, drained = int(query(stack, QUEUED)), _drain(stack, ended)
        time.sleep(max(ended + after_seconds - time.monotonic(), 0))
    statuses = {status: count - answers.get(status, 0) for status, count in _answers(bank).items()}
    before = [one for one in prober.samples if one.at < began]
    during = [one for one in prober.samples if began <= one.at < ended]
    normal_ms = max(NORMAL_TIMES * p99_ms(before), NORMAL_MS_MIN)
    accepted = taken.requests - taken.refused
    return Overload(
        seconds=seconds,
        queue_jobs_max=mark,
        capacity=capacity,
        answered=round(taken.requests / taken.seconds, 1),
        accepted=accepted,
        answered_503=statuses.get("503", 0),
        other_errors=sum(count for status, count in statuses.items() if status not in {"202", "503"}),
        late=taken.broken,
        queued_at_the_end=queued,
        drained_seconds=drained,
        lost=max(accepted - (int(query(stack, JOBS.format(caller=caller))) - jobs), 0) + int(query(stack, UNFINISHED)),
        prober_asked=len(during),
        prober_refused=sum(one.status != ACCEPTED for one in during),
        prober_settled_p99_ms=_settled_p99_ms(stack, [one.job_id for one in during if one.job_id]),
        accept_p99_ms_before=p99_ms(before),
        accept_p99_ms_during=p99_ms(during),
        accept_p99_ms_after=p99_ms([one for one in prober.samples if one.at >= ended + WINDOW_SECONDS]),
        recovery_seconds=recovery_seconds(prober.samples, ended, normal_ms, WINDOW_SECONDS),
    )


def _drain(stack: Stack, since: float) -> float:
    """Wait until nothing but the prober's own jobs is queued; return how long that took."""
    while int(query(stack, QUEUED)) > CLIENTS and time.monotonic() < since + DRAIN_SECONDS_MAX:
        time.sleep(0.1)
    return round(time.monotonic() - since, 1)


def _answers(bank: Bank) -> dict[str, int]:
    """Return how many transfers were answered with each status so far."""
    return {status: int(float(count)) for status, count in ANSWERS.findall(bank.client.get("/metrics").text)}


def _settled_p99_ms(stack: Stack, job_ids: list[str]) -> float:
    return round(float(query(stack, WAITED.format(ids=",".join(job_ids)))) * 1_000, 1)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - progress


if __name__ == "__main__":
    main()
