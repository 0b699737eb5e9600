"""The books see what they are there for: a transfer more than was acknowledged is counted, wherever it shows."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.flows.books import Strike, Trial, reconcile
from tests.flows.world import World, decode, transfer

pytestmark = pytest.mark.alone

PATH = "/v1/transfers"


def test_a_transfer_that_nobody_was_acknowledged_is_a_double_effect(world: World) -> None:
    key, body = uuid4().hex, transfer(world.wallets[0], world.wallets[1], 1)
    job = decode(world.http.post(PATH, json=body, headers={"Idempotency-Key": key}))  # Past the log.
    world.wait_finished([job.id])
    figures, broken = reconciled(world)
    assert figures.doubled == len(["the transaction", "its source", "its destination"])
    assert broken[0] == f"1 transactions are nobody's: ['{job.id}']"
    world.acknowledged.keep(PATH, key, body, job.id)  # The world is others', too.
    assert reconciled(world)[1] == []


def reconciled(world: World) -> tuple[Trial, list[str]]:
    now = datetime.now(UTC)
    return reconcile(world, [], Strike(at=now, back_at=now), "nothing is broken")
