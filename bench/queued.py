"""Jobs put into the queue as the API puts them there, without the API."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import create_engine
from uuid_utils.compat import uuid7

import db.jobs
from domain.jobs import QUEUE_OF, Kind, Submission

FLUSH = 1_000  # Jobs of a commit: as many as a worker takes at once.
NO_FINGERPRINT = bytes(32)  # Nobody sends these requests a second time.


def submission(kind: Kind, caller: str, payload: msgspec.Struct) -> Submission:
    job_id = uuid7()
    return Submission(
        id=job_id,
        kind=kind,
        queue=QUEUE_OF[kind],
        caller=caller,
        idempotency_key=str(job_id),
        fingerprint=NO_FINGERPRINT,
        payload=msgspec.Raw(msgspec.json.encode(payload)),
    )


def stage(env: Mapping[str, str], submissions: Sequence[Submission]) -> None:
    """Commit the jobs in the API's role; the sweeper finds within a second or two that nobody rang for them."""
    engine = create_engine(env["DATABASE_API_URL"])
    for chunk in chunks(submissions, FLUSH):
        with engine.begin() as connection:
            db.jobs.stage(connection, chunk)
    engine.dispose()


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
