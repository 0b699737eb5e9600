"""What customers with several wallets of one currency have spent: whose row there is, and what it holds."""

from collections.abc import Mapping
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import Connection, text

import db.velocity
import db.wallets
from domain.velocity import CustomerSpent, Spent
from tests import made
from tests.databases import connected

SPENT = Spent(480_000, 1, 5_00, 2, 7_00)


def test_rows_are_of_those_who_have_several_wallets_of_the_currency(tx: Connection) -> None:
    ann, bob = made.customer(tx), made.customer(tx)
    anns = [made.wallet(tx, ann, currency=currency) for currency in ("RWF", "USD", "USD")]
    bobs = [made.wallet(tx, bob) for _ in range(3)]

    found = db.velocity.lock(tx, [*anns, *bobs[1:]]).customers

    assert [(one.customer_id, one.currency, one.spent) for one in found] == [(ann, "USD", None), (bob, "RWF", None)]
    assert [set(one.wallet_ids) for one in found] == [set(anns[1:]), set(bobs[1:])]


def test_nobody_has_none(tx: Connection) -> None:
    assert db.velocity.lock(tx, []) == db.velocity.lock(tx, [made.wallet(tx), UUID(int=7)]) == db.velocity.NOTHING


def test_what_is_written_is_read(tx: Connection) -> None:
    customer = made.customer(tx)
    wallets = [made.wallet(tx, customer) for _ in range(2)]
    [before] = db.velocity.lock(tx, wallets).customers

    db.velocity.update(tx, [replace(before, spent=SPENT)])
    db.velocity.update(tx, [])

    after = db.velocity.lock(tx, wallets[:1]).customers
    assert after == [CustomerSpent(customer_id=customer, currency="RWF", spent=SPENT, wallet_ids=wallets[:1])]


def test_a_second_wallet_makes_the_row_which_takes_over_what_the_first_has_spent(tx: Connection) -> None:
    customer = made.customer(tx)
    first = made.wallet(tx, customer)
    wallet = db.wallets.lock(tx, [first], spent=True).wallets[first]
    db.wallets.update(tx, [replace(wallet, spent=SPENT)], spent=True)
    made.wallet(tx, customer, currency="USD")
    assert db.velocity.lock(tx, [first]) == db.velocity.NOTHING

    made.wallet(tx, customer)
    made.wallet(tx, customer)

    assert [one.spent for one in db.velocity.lock(tx, [first]).customers] == [SPENT]


def test_a_wallet_is_read_and_written_with_what_it_has_spent_only_when_that_is_asked_for(tx: Connection) -> None:
    wallet_id = made.wallet(tx)
    wallet = replace(db.wallets.lock(tx, [wallet_id]).wallets[wallet_id], spent=SPENT)
    db.wallets.update(tx, [wallet])
    assert tx.scalar(text("SELECT count(spent) FROM wallets")) == 0

    db.wallets.update(tx, [wallet], spent=True)

    assert db.wallets.lock(tx, [wallet_id], spent=True).wallets[wallet_id].spent == SPENT
    assert db.wallets.lock(tx, [wallet_id]).wallets[wallet_id].spent is None


def test_what_somebody_else_holds_for_long_is_done_without(environment: Mapping[str, str], owner: Connection) -> None:
    ann, bob = made.customer(owner), made.customer(owner)
    anns, bobs = ([made.wallet(owner, customer) for _ in range(2)] for customer in (ann, bob))
    owner.commit()
    url = environment["DATABASE_WORKER_URL"]
    with connected(url) as slow, connected(url) as other:
        db.velocity.lock(slow, anns[:1])
        other.execute(text("SET LOCAL lock_timeout = '50ms'"))
        found = db.velocity.lock(other, [anns[1], bobs[0]])
    assert found.contended == {anns[1]}
    assert [one.wallet_ids for one in found.customers] == [bobs[:1]]
