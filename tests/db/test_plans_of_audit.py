"""How PostgreSQL goes about an audit: table by table, since mostly nothing is found before everything was read."""

from collections.abc import Mapping

import pytest

import db.audit
import db.parts
from db.ledger import Rule
from tests.databases import connected
from tests.plans import fill, planned_for_values, uuid_of

ROWS, TIMES = 10_000, 100
TABLES = {"customers", "wallets"}
CHECK = "I5 states of wallets agree with their customers'"


@pytest.fixture(scope="module")
def filled(environment: Mapping[str, str]) -> str:
    """Ten thousand customers and their wallets, in another order than that of their ids; return the address."""
    url = environment["DATABASE_URL"]
    fill(url, FILL, TABLES, TIMES, rows=ROWS)
    return url


ID = uuid_of("n * 7919 % 100003")
FILL = f"""
    INSERT INTO customers (id, full_name, email, national_id_sealed, national_id_index, password_hash)
    SELECT {ID}, 'A', n || '@x.test', '', n, '' FROM generate_series(1, :rows) AS n;
    INSERT INTO wallets (id, customer_id, number, currency, type, balance_max)
    SELECT {ID}, {ID}, n, 'RWF', 'personal', 100 FROM generate_series(1, :rows) AS n
"""  # noqa: S608 - constants


def test_tables_are_hashed_not_read_in_the_order_of_their_ids(filled: str) -> None:
    check = db.audit.CHECKS[CHECK]
    assert not isinstance(check, Rule)
    with connected(filled) as connection:
        connection.exec_driver_sql("SET enable_nestloop = off")  # As `expect_whole_tables` does for a transaction.
        connection.exec_driver_sql(f"SET work_mem = '{db.parts.WORK_MEM}'")
        connection.commit()
        (plan,) = planned_for_values(connection, lambda asked: check(asked, CHECK))
        assert {node.table for node in plan.walk() if node.kind == "Seq Scan"} >= TABLES
        assert {node.table for node in plan.walk() if node.index is not None} & TABLES == set()
