"""Overload: three times as many requests as are settled, for some minutes, and a small caller beside them.

On a small machine accepting is what takes the time, so that nothing would pile up: workers get batches so small that
they are the slower ones.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from bench import audited, memory, wrk
from bench.bank import client_of, operator_key
from bench.load import first_id
from bench.options import Options
from bench.prober import ACCEPTED, Prober, Sample, p99_ms, recovery_seconds
from bench.scene import Scene, opened

QUEUE_JOBS_MAX = 2_000  # So low that a run of half a minute comes there.
BATCH_MAX = 10
CUSTOMERS = 200
TIMES = 3  # As many connections as elsewhere.
BEFORE_SECONDS = 10
AFTER_SECONDS = 75  # A minute to recover, and some more to see that it lasts.
STEP_SECONDS = 5.0  # How exactly it is told when all is as before.
NORMAL_TIMES = 2.0  # Above the 99th percentile of before: one slow commit of a shared machine is no overload.
NORMAL_MS_MIN = 50.0  # Whatever an idle machine does, a client does not notice that.
ANSWERS = re.compile(r'tekana_http_requests_total\{method="POST",route="/v1/transfers",status="(\d+)"\} (\S+)')
MADE = """
    SELECT count(*), count(*) FILTER (WHERE state <> 'succeeded') FROM jobs
     WHERE id >= %(first)s AND kind = 'transfer.create'
"""
SETTLED = """
    SELECT count(*) FROM jobs
     WHERE kind = 'transfer.create' AND finished_at BETWEEN to_timestamp(%(began)s) AND to_timestamp(%(ended)s)
"""
DRAINED = """
    SELECT extract(epoch FROM max(finished_at)) FROM jobs
     WHERE kind = 'transfer.create' AND created_at BETWEEN to_timestamp(%(began)s) AND to_timestamp(%(ended)s)
"""
WAITED = """
    SELECT percentile_disc(0.99) WITHIN GROUP (ORDER BY 1000 * extract(epoch FROM finished_at - created_at))
      FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[]))
"""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What an integrator of its own saw, who asks ten times a second; of the time of the overload, if not said."""

    asked: int
    refused: int
    settled_p99_ms: float  # From acceptance to settlement.
    accept_p99_ms: dict[str, float]  # Before, during, after.
    recovery_seconds: float  # From its end until all that follows is accepted, and as fast as before.


class Overload(msgspec.Struct, frozen=True, kw_only=True):
    minutes: float
    queue_jobs_max: int
    answered_per_second: float  # Whatever with.
    settled_per_second: float  # Meanwhile.
    accepted: int
    answered_503: int
    broken: int  # Any other answer, or none within half a minute.
    lost: int  # Accepted and not there, or not settled.
    rss_mb: dict[str, float]  # Of each kind of process, the most at any moment of it.
    drained_seconds: float  # From the end of the overload to that of the last job from before it.
    prober: Seen


def measure(options: Options, say: Callable[[str], None]) -> Overload:
    """Overload a system of its own.

    Raises:
        RuntimeError: the audit found something, or a job did not end.

    """
    small = msgspec.structs.replace(options, customers=CUSTOMERS, callers=options.clients)
    with opened(small, say, QUEUE_JOBS_MAX=str(QUEUE_JOBS_MAX), BATCH_MAX=str(BATCH_MAX)) as scene:
        found = _overloaded(scene)
        audited.seconds(scene.stack)
    return found


def _overloaded(scene: Scene) -> Overload:
    seconds, database = round(60 * scene.options.overload_minutes), scene.database
    caller = client_of(scene.stack, operator_key(scene.stack))
    prober = Prober(caller, [one.wallet_id for one in scene.bank.accounts])
    first, answers = first_id(database.now()), _answers(scene)
    memory.forget_peaks(scene.stack)
    with prober.running():
        time.sleep(BEFORE_SECONDS)
        began = Moment(scene)
        clients = TIMES * scene.options.clients
        taken = wrk.post(scene.stack.api_url, scene.bank.targets_of_one, clients=clients, seconds=seconds)
        ended = Moment(scene)
        time.sleep(AFTER_SECONDS)
    database.wait_settled()
    answers = _answers(scene) - answers
    made, unsettled = database.row(MADE, first=first)
    accepted = taken.requests - taken.refused
    lost = max(accepted + sum(one.status == ACCEPTED for one in prober.samples) - made, 0) + unsettled
    span = {"began": began.of_database, "ended": ended.of_database}
    return Overload(
        minutes=scene.options.overload_minutes,
        queue_jobs_max=QUEUE_JOBS_MAX,
        answered_per_second=round(taken.requests / taken.seconds, 1),
        settled_per_second=round(database.value(SETTLED, **span) / (ended.of_database - began.of_database), 1),
        accepted=accepted,
        answered_503=answers["503"],
        broken=taken.broken + answers.total() - answers["202"] - answers["503"],
        lost=lost,
        rss_mb=memory.by_kind(memory.by_process(scene.stack, memory.PEAK)),
        drained_seconds=round(float(database.value(DRAINED, **span)) - ended.of_database, 1),
        prober=_seen(scene, prober.samples, began, ended),
    )


class Moment:
    """Now, by our clock and by the database's."""

    def __init__(self, scene: Scene) -> None:
        self.of_ours = time.monotonic()
        self.of_database = scene.database.now()


def _seen(scene: Scene, samples: Sequence[Sample], began: Moment, ended: Moment) -> Seen:
    before = [one for one in samples if one.at < began.of_ours]
    during = [one for one in samples if began.of_ours <= one.at < ended.of_ours]
    after = [one for one in samples if one.at >= ended.of_ours]
    normal_ms = max(NORMAL_TIMES * p99_ms(before), NORMAL_MS_MIN)
    waited = scene.database.value(WAITED, ids=[one.job_id for one in during if one.job_id])
    return Seen(
        asked=len(during),
        refused=sum(one.status != ACCEPTED for one in during),
        settled_p99_ms=round(float(waited or 0), 1),
        accept_p99_ms={"before": p99_ms(before), "during": p99_ms(during), "after": p99_ms(after)},
        recovery_seconds=recovery_seconds(after, ended.of_ours, normal_ms, STEP_SECONDS),
    )


def _answers(scene: Scene) -> Counter[str]:
    """Return how many transfers were answered with each status so far."""
    page = scene.bank.client.get("/metrics").text
    return Counter({status: int(float(count)) for status, count in ANSWERS.findall(page)})
