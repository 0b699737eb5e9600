"""The audit names each row that breaks a promise, also when the owner went round the rules to break it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

import db.audit
import db.customers
import db.jobs
import db.parts
import db.transactions
import db.wallets
from domain.jobs import Kind, succeeded
from domain.transactions import Movement
from domain.wallets import NewWallet, SystemWallet, WalletOpening, system_id
from settings import Settings
from tests import made
from tests.databases import connected
from tests.made import SEAL_KEY

Books = dict[str, Any]

IN_SEQUENCE = text("SELECT sequence FROM entries WHERE wallet_id = :wallet")


@pytest.fixture
def books(tx: Connection) -> Books:
    """Return the ids of a small world in which all is right: two wallets, an earlier and a later transaction."""
    source, destination = made.wallet(tx), made.wallet(tx)
    described = Movement(
        amount=9_00,
        currency="RWF",
        destination_wallet_id=source,
        description="cash",
        external_reference="r",
        metadata={"k": "v"},
    )
    books: Books = {"source": source, "destination": destination}
    books["deposit"] = made.settled(tx, Kind.DEPOSIT_CREATE, described).job_id
    books["transfer"] = made.transfer(tx, source, destination, 2_00)
    books["withdrawal"] = made.withdrawal(tx, destination, 1_00)
    books["opened"] = opened(tx)
    books["registered"], books["first"] = registered(tx)
    books["queued"] = made.job(tx)
    books["cash_in"] = system_id(SystemWallet.CASH_IN, "RWF")
    books["in_sequence"] = tx.scalar(IN_SEQUENCE, {"wallet": books["cash_in"]})
    tx.execute(text("SET LOCAL session_replication_role = replica"))  # The owner switches every rule off.
    return books


def opened(tx: Connection) -> UUID:
    """Open a wallet by a job, as a worker does; return the id of both."""
    asked = WalletOpening(customer_id=made.customer(tx), currency="RWF", type="personal")
    job_id = made.job(tx, Kind.WALLET_OPEN, asked)
    [number] = db.wallets.new_numbers(tx, 1)
    wallet = NewWallet(id=job_id, customer_id=asked.customer_id, number=number, currency="RWF", type="personal")
    db.wallets.insert(tx, [wallet], made.BALANCE_MAX)
    db.jobs.finish(tx, [succeeded(job_id, wallet_id=job_id, number=number)])
    return job_id


def registered(tx: Connection) -> tuple[UUID, UUID]:
    """Register a customer with a first wallet, as a worker does; return the ids of both."""
    job_id = made.job(tx, Kind.CUSTOMER_REGISTER)
    db.customers.insert(tx, {job_id: made.registration(job_id.hex)})
    wallet = db.wallets.find(tx, made.wallet(tx, job_id))
    assert wallet is not None
    result = {"customer_id": job_id, "wallet_id": wallet.id, "wallet_number": wallet.number}
    db.jobs.finish(tx, [succeeded(job_id, **result)])
    return job_id, wallet.id


def test_books_that_are_right_have_no_findings(tx: Connection, books: Books) -> None:
    assert books
    assert audited(tx) == {}


def test_books_are_right_before_and_after_a_fold(fresh: Settings) -> None:
    with connected(fresh.database_url) as tx:
        made.transfer_between_two(tx)
        tx.commit()
        assert audited(tx) == {}
        db.transactions.fold_system_wallets(tx)
        tx.commit()
        made.transfer_between_two(tx)
        assert audited(tx) == {}


# Books are made in the same transaction, whose locks waited briefly; autovacuum gives way, but not as soon.
PATIENTLY = "SET LOCAL lock_timeout = 0; "
RULES_IN_THE_WAY = f"""
    {PATIENTLY}
    ALTER TABLE wallets DROP CONSTRAINT wallets_held_is_covered, DROP CONSTRAINT wallets_balance_within_bounds,
        DROP CONSTRAINT wallets_closed_are_empty, DROP CONSTRAINT wallets_frozen_alone_is_frozen;
    ALTER TABLE jobs DROP CONSTRAINT jobs_state_known;
    ALTER TABLE transactions DROP CONSTRAINT transactions_kind_known
"""

OWNER = "id = (SELECT customer_id FROM wallets WHERE id = '{source}')"

ALONE = "state = 'frozen', frozen_alone = true"
DONE = """
    INSERT INTO operator_actions (id, actor, action, object, details, job_id)
    VALUES (gen_random_uuid(), 'a', 'wallet.{verb}', '{{source}}', '{{{{"state": "{state}"}}}}', '{{{job}}}')
"""
FROZEN, UNFROZEN = (
    DONE.format(verb=verb, state=state, job=job)
    for verb, state, job in (("freeze", "frozen", "deposit"), ("unfreeze", "open", "transfer"))
)

# Of a payload that names its receiver by number; that of no wallet is null.
NUMBERED = """
    payload - 'destination_wallet_id'
        || jsonb_build_object('destination_number', (SELECT number FROM wallets WHERE id = '{}'))
"""

REPLACED = ("customer_id = '{queued}'", "number = '1'", "id = '{queued}'")  # Of a wallet that a job opened.

# Columns: the check and the row it must name (`{...}` are ids of `books`), and what the owner did.
TAMPERED = [
    ("I1 jobs {queued}", "UPDATE jobs SET due_at = now() - interval '61 seconds' WHERE id = '{queued}'"),
    ("I2 jobs {queued}", "UPDATE jobs SET state = 'succeeded' WHERE id = '{queued}'"),
    ("I2 jobs {transfer}", "UPDATE jobs SET state = 'rejected' WHERE id = '{transfer}'"),
    ("I2 jobs {transfer}", "UPDATE jobs SET kind = 'deposit.create' WHERE id = '{transfer}'"),
    ("I2 jobs {transfer}", "UPDATE jobs SET kind = 'wallet.open' WHERE id = '{transfer}'"),
    ("I2 jobs {transfer}", "DELETE FROM transactions WHERE id = '{transfer}'"),
    ("I2 transactions {transfer}", "DELETE FROM jobs WHERE id = '{transfer}'"),
    *(
        ("I2 jobs {transfer}", f"UPDATE transactions SET {change} WHERE id = '{{transfer}}'")  # noqa: S608 - our own literals
        for change in (
            "amount = amount + 1",
            "currency = 'USD'",
            "kind = 'deposit'",
            "source_wallet_id = '{cash_in}'",
            "source_wallet_id = NULL",
            "destination_wallet_id = '{cash_in}'",
            "source_wallet_id = destination_wallet_id, destination_wallet_id = source_wallet_id",
        )
    ),
    *(
        ("I2 jobs {transfer}", f"UPDATE jobs SET payload = {payload} WHERE id = '{{transfer}}'")  # noqa: S608 - as above
        for payload in ("'{{}}'", "payload - 'amount'", NUMBERED.format("{source}"), NUMBERED.format("{queued}"))
    ),
    ("I2 jobs {deposit}", "UPDATE transactions SET destination_wallet_id = '{destination}' WHERE id = '{deposit}'"),
    ("I2 jobs {withdrawal}", "UPDATE transactions SET source_wallet_id = '{source}' WHERE id = '{withdrawal}'"),
    *(
        (f"I2 jobs {{{job}}}", f"UPDATE wallets SET {change} WHERE id = '{{{wallet}}}'")  # noqa: S608 - our own literals
        for job, wallet, changes in (
            ("opened", "opened", (*REPLACED, "currency = 'USD'", "type = 'saving'")),
            ("registered", "first", REPLACED),
        )
        for change in changes
    ),
    ("I2 jobs {registered}", "DELETE FROM wallets WHERE id = '{first}'"),
    ("I2 jobs {registered}", "DELETE FROM customers WHERE id = '{registered}'"),
    ("I2 jobs {opened}", "UPDATE jobs SET payload = '{{}}' WHERE id = '{opened}'"),
    ("I3 entries {source} 2", "UPDATE entries SET amount = -201 WHERE wallet_id = '{source}' AND sequence = 2"),
    ("I3 entries {source} 2", "UPDATE entries SET amount = amount * 2 WHERE transaction_id = '{transfer}'"),
    ("I3 entries {destination} 1", "UPDATE entries SET amount = amount * 2 WHERE transaction_id = '{transfer}'"),
    ("I3 transactions {withdrawal}", "DELETE FROM entries WHERE wallet_id = '{destination}' AND sequence = 2"),
    ("I3 transactions {transfer}", "DELETE FROM entries WHERE transaction_id = '{transfer}'"),
    ("I3 entries {source} 2", "UPDATE transactions SET currency = 'USD' WHERE id = '{transfer}'"),
    ("I3 entries {cash_in} {in_sequence}", "UPDATE transactions SET currency = 'USD' WHERE id = '{deposit}'"),
    ("I3 entries {destination} 1", "DELETE FROM wallets WHERE id = '{destination}'"),
    ("I3 entries {destination} 2", "DELETE FROM transactions WHERE id = '{withdrawal}'"),
    ("I3 entries {destination} 2", "UPDATE transactions SET kind = 'opening' WHERE id = '{withdrawal}'"),
    (
        "I3 entries {cash_in} 999999999",
        "UPDATE entries SET wallet_id = '{cash_in}', sequence = 999999999 WHERE balance_after = 700",
    ),
    ("I4 wallets {source}", "UPDATE wallets SET balance = balance + 1 WHERE id = '{source}'"),
    ("I4 wallets {source}", "UPDATE wallets SET sequence = 3 WHERE id = '{source}'"),
    ("I4 wallets {source}", "UPDATE entries SET sequence = 3 WHERE balance_after = 700"),
    ("I4 wallets {cash_in}", "UPDATE wallets SET balance = -1 WHERE id = '{cash_in}'"),
    ("I4 entries {source} 2", "UPDATE entries SET balance_after = 1 WHERE balance_after = 700"),
    ("I5 wallets {source}", "UPDATE wallets SET balance_max = 699 WHERE id = '{source}'"),
    ("I5 wallets {source}", "UPDATE wallets SET balance = -1 WHERE id = '{source}'"),
    ("I5 wallets {source}", "UPDATE wallets SET balance_min = -1 WHERE id = '{source}'"),
    ("I5 wallets {source}", "UPDATE wallets SET held = 701 WHERE id = '{source}'"),
    ("I5 wallets {source}", "UPDATE wallets SET state = 'closed' WHERE id = '{source}'"),
    ("I5 wallets {source}", "UPDATE wallets SET state = 'frozen' WHERE id = '{source}'"),
    ("I5 wallets {source}", "UPDATE wallets SET frozen_alone = true WHERE id = '{source}'"),
    ("I5 wallets {source}", f"UPDATE customers SET state = 'frozen' WHERE {OWNER}"),  # noqa: S608 - our own literals
    ("I5 wallets {source}", f"UPDATE customers SET state = 'closed' WHERE {OWNER}"),  # noqa: S608 - our own literals
    ("I5 wallets {source}", f"UPDATE wallets SET {ALONE} WHERE id = '{{source}}'"),  # noqa: S608 - our own literals
    ("I5 wallets {source}", FROZEN),
    ("I5 wallets {source}", f"{FROZEN}; {UNFROZEN}; UPDATE wallets SET {ALONE}"),  # noqa: S608 - our own literals
    ("I6 currency RWF", "UPDATE transactions SET kind = 'deposit' WHERE id = '{withdrawal}'"),
    ("I6 currency RWF", "UPDATE wallets SET balance = balance + 1 WHERE id = '{source}'"),
    ("I7 jobs {transfer}", "UPDATE jobs SET result = '{{}}' WHERE id = '{transfer}'"),
    ("I9 jobs {transfer}", "DELETE FROM events WHERE job_id = '{transfer}'"),
    ("I10 leases {queued}", "INSERT INTO leases VALUES ('{queued}', '{{}}', now() - interval '61 seconds')"),
    ("I11 events", "UPDATE events SET xact_id = 1000000000000"),
    ("I11 entries", "UPDATE entries SET xact_id = 1000000000000 WHERE xact_id IS NOT NULL"),
    ("I11 wallets", "UPDATE wallets SET folded_before = 1000000000000 WHERE customer_id IS NULL"),
    ("I11 webhook_cursor", "UPDATE webhook_cursor SET xact_id = 1000000000000"),
    (
        "I11 webhook_endpoints",
        (
            "INSERT INTO webhook_endpoints (id, key_id, url, event_types, since_xact_id)"
            " VALUES (gen_random_uuid(), gen_random_uuid(), 'u', '{{}}', 1000000000000)"
        ),
    ),
]


def test_who_is_named_by_number_is_who_was_paid(tx: Connection, books: Books) -> None:
    renamed = f"UPDATE jobs SET payload = {NUMBERED.format('{destination}')} WHERE id = '{{transfer}}'"  # noqa: S608 - our own literals
    tx.exec_driver_sql(renamed.format(**books))
    assert audited(tx) == {}


def test_of_two_alike_each_has_its_own_entries(tx: Connection) -> None:
    source, destination = made.wallet(tx), made.wallet(tx)
    made.deposit(tx, source, 9_00)
    first, second = (made.transfer(tx, source, destination, 2_00) for _ in range(2))
    tx.execute(text("SET LOCAL session_replication_role = replica"))
    tx.execute(text(f"{PATIENTLY}ALTER TABLE entries DROP CONSTRAINT entries_once_per_transaction"))
    moved = text("UPDATE entries SET transaction_id = :first WHERE transaction_id = :second AND amount < 0")
    tx.execute(moved, {"first": first, "second": second})
    assert set(audited(tx)["I3 entries are what transactions say"]) == {
        f"transactions {first}",
        f"transactions {second}",
    }


FLIPPED = "set_byte(seal, {byte}, get_byte(seal, {byte}) # 1)"
SEALED = [
    *(
        ("transactions {deposit}", f"UPDATE transactions SET {change} WHERE id = '{{deposit}}'")  # noqa: S608 - our own literals
        for change in (
            "amount = amount + 1",
            "currency = 'USD'",
            "kind = 'withdrawal'",
            "source_wallet_id = destination_wallet_id",
            "destination_wallet_id = '{destination}'",
            "description = 'Cash'",
            "description = NULL",
            "external_reference = 's'",
            'metadata = metadata || \'{{"l": "w"}}\'',
            "metadata = NULL",
            "posted_at = posted_at + interval '1 microsecond'",
            *(f"seal = {FLIPPED.format(byte=byte)}" for byte in (0, 7, 15)),
        )
    ),
    *(
        ("entries {source} 1", f"UPDATE entries SET {change} WHERE wallet_id = '{{source}}' AND sequence = 1")  # noqa: S608 - as above
        for change in (
            "amount = amount + 1",
            "balance_after = balance_after + 1",
            "transaction_id = '{transfer}'",
            *(f"seal = {FLIPPED.format(byte=byte)}" for byte in (0, 7, 15)),
        )
    ),
    ("entries {source} 3", "UPDATE entries SET sequence = 3 WHERE wallet_id = '{source}' AND sequence = 2"),
    ("entries {source} 2", "DELETE FROM entries WHERE wallet_id = '{source}' AND sequence = 1"),
    ("wallets {source}", "DELETE FROM entries WHERE wallet_id = '{source}' AND sequence = 2"),
    ("wallets {source}", "UPDATE wallets SET seal = '' WHERE id = '{source}'"),
    ("entries {cash_in} {in_sequence}", "UPDATE entries SET amount = -1 WHERE wallet_id = '{cash_in}'"),
    (
        "entries {cash_in} {in_sequence}",
        f"UPDATE entries SET seal = {FLIPPED.format(byte=3)} WHERE wallet_id = '{{cash_in}}'",  # noqa: S608 - as above
    ),
]


@pytest.mark.parametrize(("finding", "edit"), TAMPERED)
def test_the_row_that_breaks_a_promise_is_named_by_its_check(
    tx: Connection, books: Books, finding: str, edit: str
) -> None:
    tx.execute(text(RULES_IN_THE_WAY))
    tx.exec_driver_sql(edit.format(**books))
    found = {f"{name.partition(' ')[0]} {row}" for name, rows in audited(tx).items() for row in rows}
    assert finding.format(**books) in found


@pytest.mark.parametrize(("row", "edit"), SEALED)
def test_a_posted_row_with_another_byte_is_named_by_its_seal(tx: Connection, books: Books, row: str, edit: str) -> None:
    tx.execute(text(RULES_IN_THE_WAY))
    tx.exec_driver_sql(f"{PATIENTLY}ALTER TABLE entries DROP CONSTRAINT entries_once_per_transaction")
    tx.exec_driver_sql(edit.format(**books))
    assert row.format(**books) in audited(tx)["I8 seals verify"]


def test_a_change_is_named_once_and_not_again_at_every_later_entry(tx: Connection, books: Books) -> None:
    change = "UPDATE entries SET balance_after = balance_after + 1 WHERE wallet_id = '{source}' AND sequence = 1"
    tx.exec_driver_sql(change.format(**books))
    assert audited(tx)["I8 seals verify"] == [f"entries {books['source']} 1"]


def test_no_seal_verifies_under_another_key(tx: Connection, books: Books) -> None:
    found = audited(tx, seal_key=b"x" * 32)["I8 seals verify"]
    assert {f"transactions {books[name]}" for name in ("deposit", "transfer", "withdrawal")} < set(found)
    assert {f"entries {books['source']} 1", f"entries {books['source']} 2"} < set(found)


def test_a_check_names_no_more_rows_than_anyone_reads(tx: Connection, books: Books) -> None:
    db.jobs.stage(tx, [made.submission() for _ in range(db.audit.FINDINGS_MAX + 1)])
    tx.exec_driver_sql("UPDATE jobs SET due_at = now() - interval '61 seconds' WHERE state = 'queued'")
    assert books
    assert len(audited(tx)["I1 every job ends"]) == db.audit.FINDINGS_MAX


@pytest.mark.parametrize("alone_max", [db.parts.ALONE_MAX, 0], ids=["in turn", "side by side"])
def test_an_audit_runs_every_check_on_one_snapshot_and_leaves_nothing_behind(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch, alone_max: int
) -> None:
    monkeypatch.setattr(db.parts, "ALONE_MAX", alone_max)
    with connected(fresh.database_url) as tx:
        transfer = made.transfer_between_two(tx)
        tx.execute(text("ANALYZE"))
        tx.commit()
        running = db.audit.verify(fresh.database_url, SEAL_KEY)
        found = dict(islice(running, 1))
        tx.execute(text("SET session_replication_role = replica"))
        tx.execute(text("DELETE FROM entries WHERE transaction_id = :id"), {"id": transfer})
        tx.commit()  # After the audit began: it must not see this.
        found |= dict(running)
        assert found == {name: [] for name in (db.audit.KEPT, *db.audit.CHECKS)}
        broken = {name for name, rows in db.audit.verify(fresh.database_url, SEAL_KEY) if rows}
        assert {name.partition(" ")[0] for name in broken} == {"I3", "I4", "I8"}


@pytest.mark.parametrize("alone_max", [db.parts.ALONE_MAX, 0], ids=["in turn", "side by side"])
def test_what_is_late_is_late_as_of_a_moment(fresh: Settings, monkeypatch: pytest.MonkeyPatch, alone_max: int) -> None:
    monkeypatch.setattr(db.parts, "ALONE_MAX", alone_max)
    with connected(fresh.database_url) as tx:
        made.job(tx)
        tx.execute(text("INSERT INTO leases (id, job_ids) VALUES (gen_random_uuid(), '{}')"))
        tx.execute(text("UPDATE jobs SET due_at = now() - interval '1 hour'"))
        tx.execute(text("UPDATE leases SET taken_at = now() - interval '1 hour'"))
        tx.commit()
    now = datetime.now(UTC)
    moments = [None, now, now - timedelta(minutes=58), now - timedelta(minutes=59, seconds=30), now - timedelta(days=9)]
    late = [[name[:3] for name, rows in verified(fresh, moment) if rows] for moment in moments]
    assert late == [["I1 ", "I10"]] * 3 + [[]] * 2


def verified(config: Settings, moment: datetime | None) -> Iterator[tuple[str, list[db.audit.Finding]]]:
    return db.audit.verify(config.database_url, SEAL_KEY, moment)


def audited(tx: Connection, seal_key: bytes = SEAL_KEY) -> dict[str, list[str]]:
    """Run each check inside the transaction; return the rows that each one names, if any."""
    return {name: [one.row for one in found] for name, found in db.audit.in_turn(tx, seal_key) if found}
