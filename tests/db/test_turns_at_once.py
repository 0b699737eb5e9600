"""Several workers claim a deep queue in turn: no job is lost, none is taken twice, and a caller's order is kept."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import db.jobs
import db.turns
from domain.jobs import Claimed, Kind, Queue, succeeded
from settings import Settings
from tests.committed import execute
from tests.databases import connected
from tests.made import submission

WORKERS, CALLERS, JOBS, BATCH = 4, 7, 2_000, 50
TURNS_MAX = JOBS  # A turn that another worker leaves nothing for is empty; a queue that is never empty is a bug.


def test_workers_that_claim_at_once_share_all_jobs_without_meeting(fresh: Settings) -> None:
    jobs = [submission(Kind.DEPOSIT_CREATE, caller=f"caller {n % CALLERS if n % 3 else 0}") for n in range(JOBS)]
    with connected(fresh.database_api_url) as api:
        db.jobs.stage(api, jobs)
        api.commit()

    def work(_: int) -> list[list[Claimed]]:
        batches = []
        with connected(fresh.database_worker_url) as worker:
            for _ in range(TURNS_MAX):
                batch = db.turns.claim(worker, Queue.TRANSACTIONS, BATCH).batch
                db.jobs.finish(worker, [succeeded(job.id, transaction_id=job.id) for job in batch])
                worker.commit()
                if not batch:
                    break
                batches.append(batch)
        return batches

    with ThreadPoolExecutor(WORKERS) as pool:
        done = [batch for batches in pool.map(work, range(WORKERS)) for batch in batches]

    assert Counter(job.id for batch in done for job in batch) == Counter(job.id for job in jobs)
    assert all([job.id for job in batch] == sorted(job.id for job in batch) for batch in done)
    assert execute(fresh.database_url, "SELECT state, count(*) FROM jobs GROUP BY state") == [("succeeded", JOBS)]
