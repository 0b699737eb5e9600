from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

import db.roles
from db.roles import Side
from local.stack import Stack
from tests import databases

API, WORKER = Side.API, Side.WORKER
MONEY = "INSERT wallets, UPDATE wallets, INSERT transactions, INSERT entries, INSERT blocks, UPDATE jobs"
CUSTOMERS = "INSERT customers, UPDATE customers, UPDATE customer_velocity"
INTAKE = "INSERT jobs, INSERT webhook_secrets, UPDATE webhook_secrets"
MAY = {
    ("api_tx", API): [],
    ("worker_tx", WORKER): [],
    ("worker_tx", API): [f"the role tekana_worker may {MONEY}, {CUSTOMERS}; the API must not"],
    ("api_tx", WORKER): [f"the role tekana_api may {INTAKE}; the workers must not"],
}


@pytest.mark.parametrize(("role", "side"), list(MAY))
def test_a_role_is_safe_on_its_own_side_only(request: pytest.FixtureRequest, role: str, side: Side) -> None:
    connection: Connection = request.getfixturevalue(role)
    assert db.roles.unsafe(connection, side) == MAY[role, side]


@pytest.mark.parametrize("side", list(Side))
def test_the_owners_role_is_safe_on_neither(tx: Connection, side: Side) -> None:
    found = db.roles.unsafe(tx, side)
    assert [sentence.partition(";")[0] for sentence in found[:-1]] == [
        "the role tekana is a superuser",
        "the role tekana owns tables",
        "the role tekana has CREATEROLE",
        "the role tekana has BYPASSRLS",
    ]
    assert found[-1].endswith(f"the {side} must not")


@pytest.mark.parametrize(("value", "is_safe"), [("on", True), ("remote_apply", True), ("off", False), ("local", False)])
def test_a_commit_that_is_not_on_disk_is_not_safe(api_tx: Connection, value: str, is_safe: object) -> None:
    api_tx.execute(text("SELECT set_config('synchronous_commit', :value, true)"), {"value": value})
    assert (db.roles.unsafe(api_tx, API) == []) is is_safe


@pytest.fixture
def stranger(tx: Connection) -> Iterator[Connection]:
    """A role without any right, in a transaction of the owner, who may become it and give it some."""
    tx.execute(text("CREATE ROLE stranger"))
    yield tx
    tx.rollback()


EDITS = ("UPDATE", "DELETE", "TRUNCATE")
HISTORY = [f"{edit} ON {table}" for edit in EDITS for table in ("transactions", "entries", "events")]
KEPT = [f"{removal} ON {table}" for removal in ("DELETE", "TRUNCATE") for table in ("jobs", "wallets", "customers")]
API_MUST_NOT = [
    f"{edit} ON {table}"
    for edit in ("INSERT", "UPDATE")
    for table in ("wallets", "transactions", "entries", "customer_velocity")
]


WORKER_MUST_NOT = [
    "INSERT ON jobs",
    "INSERT (payload) ON jobs",
    "INSERT ON api_keys",
    "INSERT ON webhook_secrets",
    "UPDATE ON webhook_secrets",
    "UPDATE (sealed) ON webhook_secrets",
    "INSERT ON customer_velocity",
    "DELETE ON customer_velocity",
    "TRUNCATE ON customer_velocity",
]


@pytest.mark.parametrize(
    ("side", "grant"),
    [
        *((API, grant) for grant in ["UPDATE ON jobs", "UPDATE (state) ON jobs", *API_MUST_NOT, *HISTORY, *KEPT]),
        *((WORKER, grant) for grant in [*WORKER_MUST_NOT, *HISTORY, *KEPT]),
    ],
)
def test_each_right_that_a_side_must_not_have_is_found(stranger: Connection, side: Side, grant: str) -> None:
    assert unsafe_as_stranger(stranger, side) == []
    stranger.execute(text(f"GRANT {grant} TO stranger"))
    [sentence] = unsafe_as_stranger(stranger, side)
    assert sentence.startswith(f"the role stranger may {grant.split(maxsplit=1)[0]} {grant.rsplit(maxsplit=1)[-1]};")


COLUMNS_KEPT = {
    "UPDATE ON wallets": "UPDATE wallets.customer_id, UPDATE wallets.balance_min",
    "UPDATE (customer_id) ON wallets": "UPDATE wallets.customer_id",
    "INSERT ON wallets": "INSERT wallets.balance_min",
    "UPDATE ON jobs": "UPDATE jobs.kind, UPDATE jobs.caller",
}


@pytest.mark.parametrize("grant", COLUMNS_KEPT)
def test_a_worker_that_may_write_what_workers_do_not_is_found(stranger: Connection, grant: str) -> None:
    stranger.execute(text(f"GRANT {grant} TO stranger"))
    [sentence] = unsafe_as_stranger(stranger, WORKER)
    assert sentence == f"the role stranger may {COLUMNS_KEPT[grant]}; the workers must not"


@pytest.mark.parametrize("power", ["SUPERUSER", "CREATEROLE", "BYPASSRLS"])
def test_each_power_that_no_side_must_have_is_found(stranger: Connection, power: str) -> None:
    stranger.execute(text(f"ALTER ROLE stranger {power}"))
    assert power in unsafe_as_stranger(stranger, API)[0].upper()


def test_a_database_without_tables_gives_no_right_to_any(servers: Stack) -> None:
    url = servers.env["DATABASE_WORKER_URL"]
    with databases.empty(servers.database_url) as name, databases.connected(databases.on(url, name)) as connection:
        assert db.roles.unsafe(connection, API) == []


def unsafe_as_stranger(tx: Connection, side: Side) -> list[str]:
    tx.execute(text("SET LOCAL ROLE stranger"))
    found = db.roles.unsafe(tx, side)
    tx.execute(text("RESET ROLE"))
    return found
