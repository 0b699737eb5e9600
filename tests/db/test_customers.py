from uuid import UUID

from sqlalchemy import Connection
from uuid_utils.compat import uuid7

import db.customers
from domain.customers import Registration
from tests.databases import refused_by
from tests.made import registration

FULL = registration("ada", phone_sealed="sealed phone", phone_index="index phone", gender="F")


def test_a_customer_is_found_by_id_and_by_e_mail_with_what_was_sealed_still_sealed(tx: Connection) -> None:
    customer_id = inserted(tx, FULL)
    stored = db.customers.find(tx, customer_id)
    assert stored == db.customers.find_by_email(tx, FULL.email)
    assert stored is not None
    kept = ("full_name", "email", "national_id_sealed", "phone_sealed", "gender", "password_hash")
    assert [getattr(stored, name) for name in kept] == [getattr(FULL, name) for name in kept]


def test_nobody_is_found_under_an_unknown_id_or_e_mail(tx: Connection) -> None:
    assert db.customers.find(tx, uuid7()) is None
    assert db.customers.find_by_email(tx, "nobody@example.rw") is None


def test_what_is_taken_is_said_of_those_asked_for_only(tx: Connection) -> None:
    inserted(tx, FULL)
    inserted(tx, registration("eve"))
    twin = registration("twin", national_id_index=FULL.national_id_index)
    taken = db.customers.taken(tx, [FULL, twin, registration("bob")])
    assert taken == db.customers.Taken(emails={FULL.email}, national_ids={FULL.national_id_index})


def test_nobody_to_insert_needs_no_statement(tx: Connection) -> None:
    db.customers.insert(tx, {})


def test_the_database_itself_refuses_a_second_e_mail(tx: Connection) -> None:
    inserted(tx, FULL)
    with refused_by("customers_email_unique"):
        inserted(tx, registration("bob", email=FULL.email))


def test_a_page_is_newest_first_goes_on_and_is_narrowed_by_e_mail(tx: Connection) -> None:
    ids = [inserted(tx, registration(name)) for name in ("ada", "bob", "eve")]
    assert page_ids(tx, None, None) == [ids[2], ids[1]]
    assert page_ids(tx, None, ids[1]) == [ids[0]]
    assert page_ids(tx, "bob@example.rw", None) == [ids[1]]


def inserted(tx: Connection, one: Registration) -> UUID:
    customer_id = uuid7()
    db.customers.insert(tx, {customer_id: one})
    return customer_id


def page_ids(tx: Connection, email: str | None, before: UUID | None) -> list[UUID]:
    return [customer.id for customer in db.customers.page(tx, email, before, 2)]


def test_a_hash_is_replaced_only_by_who_knows_it(tx: Connection) -> None:
    customer_id = inserted(tx, FULL)
    assert not db.customers.replace_hash(tx, customer_id, "another", "renewed")
    assert db.customers.replace_hash(tx, customer_id, FULL.password_hash, "renewed")
    stored = db.customers.find(tx, customer_id)
    assert stored is not None
    assert stored.password_hash == "renewed"
