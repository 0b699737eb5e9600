"""Invariant 9: a listener saw the event of every job that ended, rightly signed, and saying what GET says."""

from functools import partial
from typing import Any

import msgspec
from sqlalchemy import text
from standardwebhooks import Webhook, WebhookVerificationError

import domain.signatures
import domain.webhooks
from tests.flows.receivers import Message, Receiver, wait_until
from tests.flows.world import World

SHOWN = 5
SAMPLE = 50  # Jobs whose GET is compared with what was told.
ENDED = text("SELECT CAST(id AS text) FROM events WHERE type <> 'webhook.test'")


def untold(world: World, listener: Receiver) -> list[str]:
    """Wait until all that happened was told, as long as there is more and more of it; return every broken promise."""
    missing = _missing(world, listener)
    while missing and wait_until(partial(_is_told_one_of, missing, listener)):
        missing = _missing(world, listener)
    forged = [message.id for message in listener.messages if not _is_genuine(listener, message)]
    told = [msgspec.json.decode(message.body) for message in listener.messages]
    jobs = [event["data"] for event in told if "kind" in event["data"]]
    differing = [job["id"] for job in jobs[:: max(1, len(jobs) // SAMPLE)] if not _is_what_get_says(world, job)]
    found = {"were not told": sorted(missing), "are wrongly signed": forged, "are not what GET says": differing}
    return [f"{len(ids)} events {what}: {ids[:SHOWN]}" for what, ids in found.items() if ids]


def _is_told_one_of(missing: set[str], listener: Receiver) -> bool:
    return not missing.isdisjoint(listener.counts())


def _missing(world: World, listener: Receiver) -> set[str]:
    return _events(world) - set(listener.counts())


def _events(world: World) -> set[str]:
    with world.tx() as tx:
        return set(tx.scalars(ENDED))


def _is_genuine(listener: Receiver, message: Message) -> bool:
    """Old messages are genuine too: their age is measured against their own time."""
    moment = int(message.headers["webhook-timestamp"])
    if not domain.signatures.is_signed(listener.secret, message.headers, message.body, now=moment):
        return False
    try:
        Webhook(listener.secret).verify(message.body, message.headers)
    except WebhookVerificationError as error:
        return "timestamp" in str(error).lower()
    return True


def _is_what_get_says(world: World, told: dict[str, Any]) -> bool:
    """A failed job may have been requeued since."""
    said: dict[str, Any] = world.http.get(f"/v1/jobs/{told['id']}").json()
    return said == told or told["state"] == "failed"
