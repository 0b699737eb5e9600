"""Sealing anew: what another key sealed, page by page, and nothing else."""

from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.customers
import db.jobs
import db.sealed
import db.secrets
from db.sealed import NOTHING_YET, OF_WEBHOOKS, PERSONAL, Unopened
from domain.jobs import ATTEMPTS_EXHAUSTED, JobState, Kind, Outcome
from sealing import Sealer
from tests import made
from tests.test_sealing import NEW, OLD

BEFORE, DURING, AFTER = (Sealer(keys, "KEYS") for keys in (OLD, f"{NEW},{OLD}", NEW))
START = UUID(int=0)


def customer(tx: Connection, national_id: str, phone: str | None = None, sealer: Sealer = BEFORE) -> UUID:
    customer_id = uuid7()
    sealed = {"national_id_sealed": sealer.seal(national_id), "phone_sealed": phone and sealer.seal(phone)}
    db.customers.insert(tx, {customer_id: made.registration(customer_id.hex, **sealed)})
    return customer_id


def opened(tx: Connection, customer_id: UUID, sealer: Sealer) -> tuple[str, str | None]:
    stored = db.customers.find(tx, customer_id)
    assert stored is not None
    return sealer.open(stored.national_id_sealed), stored.phone_sealed and sealer.open(stored.phone_sealed)


def reseal_personal(tx: Connection) -> list[int]:
    return [db.sealed.reseal(tx, column, DURING, START).count for column in PERSONAL]


def test_what_the_old_key_sealed_opens_with_the_new_one_alone(tx: Connection) -> None:
    with_phone, without = customer(tx, "1199", "+250788123456"), customer(tx, "1200")

    assert reseal_personal(tx) == [2, 1]

    assert opened(tx, with_phone, AFTER) == ("1199", "+250788123456")
    assert opened(tx, without, AFTER) == ("1200", None)


def test_what_the_new_key_sealed_is_left_as_it_is(tx: Connection) -> None:
    customer_id = customer(tx, "1199", "+250788123456", sealer=AFTER)
    before = db.customers.find(tx, customer_id)

    assert reseal_personal(tx) == [0, 0]

    assert db.customers.find(tx, customer_id) == before


def test_it_is_done_page_by_page(tx: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db.sealed, "PAGE_MAX", 2)
    people = [customer(tx, f"119{number}") for number in range(5)]
    pages, after = [], NOTHING_YET.last
    while after is not None:
        page = db.sealed.reseal(tx, PERSONAL[0], DURING, after)
        pages.append(page.count)
        after = page.last

    assert pages == [2, 2, 1]
    assert [opened(tx, one, AFTER)[0] for one in people] == [f"119{number}" for number in range(5)]


def test_both_secrets_of_a_rotation_are_sealed_anew(tx: Connection) -> None:
    owner = uuid7()
    for secret in ("whsec_first", "whsec_second"):
        db.secrets.rotate(tx, owner, BEFORE.seal(secret))

    counts = [db.sealed.reseal(tx, column, DURING, START).count for column in OF_WEBHOOKS]

    row = tx.execute(
        text("SELECT sealed, previous_sealed FROM webhook_secrets WHERE owner_id = :id"), {"id": owner}
    ).one()
    assert counts == [1, 1]
    assert [AFTER.open(sealed) for sealed in row] == ["whsec_second", "whsec_first"]


@pytest.mark.parametrize(
    ("sealed", "reason"),
    [
        (BEFORE.seal("1199"), "sealed with 'old', a key that is not set"),
        ("new2:" + AFTER.seal("1199").partition(":")[2], "sealed with 'new2', a key that is not set"),
    ],
    ids=["retired", "unknown"],
)
def test_a_row_whose_key_is_gone_is_named(tx: Connection, sealed: str, reason: str) -> None:
    customer_id = uuid7()
    db.customers.insert(tx, {customer_id: made.registration("ada", national_id_sealed=sealed)})

    with pytest.raises(Unopened, match=f"customers {customer_id}: national_id_sealed is {reason}"):
        db.sealed.reseal(tx, PERSONAL[0], AFTER, START)


def test_a_row_that_was_tampered_with_is_named(tx: Connection) -> None:
    customer_id = uuid7()
    sealed = BEFORE.seal("1199")[:-4] + "AAA="
    db.customers.insert(tx, {customer_id: made.registration("ada", national_id_sealed=sealed)})

    with pytest.raises(Unopened, match=f"customers {customer_id}: national_id_sealed is tampered with"):
        db.sealed.reseal(tx, PERSONAL[0], DURING, START)


@pytest.mark.parametrize(
    ("sealer", "state", "waits"),
    [
        (BEFORE, JobState.QUEUED, True),
        (BEFORE, JobState.FAILED, True),
        (BEFORE, JobState.REJECTED, False),
        (AFTER, JobState.QUEUED, False),
        (AFTER, JobState.FAILED, False),
    ],
)
def test_registrations_that_may_still_become_rows_are_named(
    tx: Connection, sealer: Sealer, state: JobState, waits: object
) -> None:
    payload = made.registration("ada", national_id_sealed=sealer.seal("1199"))
    job_id = made.job(tx, Kind.CUSTOMER_REGISTER, payload)
    if state is not JobState.QUEUED:
        db.jobs.finish(tx, [Outcome(job_id=job_id, state=state, error=ATTEMPTS_EXHAUSTED)])

    assert (job_id in db.sealed.waiting(tx, DURING)) is waits
