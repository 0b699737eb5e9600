"""Each list reads about a page for a page, and each read by key its row, whatever is asked and however much there is.

The lists are found, not named: every function of `db` that takes a limit. What a list may be narrowed to is taken from
its filter, and every combination is asked for, with values of which there are few and values of which there are many.
"""

import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

import db
import db.customers
import db.deliveries
import db.events
import db.jobs
import db.keys
import db.legacy_ids
import db.sessions
import db.transactions
import db.wallets
import db.webhooks
from domain.actions import Action
from domain.deliveries import DeliveryState
from domain.imports import LegacyKind
from domain.jobs import JobState, Kind
from domain.transactions import TransactionKind
from tests.databases import connected
from tests.plans import PLANS, Ask, fill, planned_for_values, rows_read, uuid_of

ROWS = 20_000
TIMES = 50  # The planner believes in a million.
LIMIT = 20
FEW = 120  # Of what is rare, all of it among the oldest rows: nothing is further from the end where lists begin.
READ_MAX = 800  # For a page: its rows, those joined to them, what is rare altogether, the system's wallets. Of 20,000.
BIG = {"customers", "operator_actions", "wallets", "jobs", "transactions", "entries", "events", "webhook_deliveries"}
BUSY, QUIET = "key:busy", "key:quiet"  # One makes nearly all jobs, the other a few.
BUSY_KEY, QUIET_KEY = UUID(int=1), UUID(int=2)
BUSY_WALLET, QUIET_WALLET = UUID(int=3), UUID(int=4)
MIDDLE, LATEST = UUID(int=ROWS // 2), UUID(int=ROWS - 1)
JOBS_QUEUED = range(9_000, 9_020)


def moment(number: int) -> str:
    return f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"


# By a list's parameter, or its filter's field: what it may be narrowed to. Left open is tried for each.
WANTED: Mapping[str, Mapping[str, list[Any]]] = {
    "customers.page": {"email": ["c10@example.rw", "nobody@example.rw"]},
    "wallets.page": {"customer_id": [UUID(int=5), UUID(int=10_000)]},
    "webhooks.page": {"key_id": [BUSY_KEY, QUIET_KEY]},
    "jobs.page": {
        "caller": [BUSY, QUIET],
        "state": [JobState.SUCCEEDED, JobState.REJECTED, JobState.FAILED, JobState.QUEUED],
        "kind": [Kind.TRANSFER_CREATE, Kind.DEPOSIT_CREATE, Kind.WALLET_OPEN],
    },
    "transactions.page": {
        "wallet_ids": [[BUSY_WALLET], [QUIET_WALLET], [BUSY_WALLET, QUIET_WALLET]],
        "kind": [TransactionKind.TRANSFER, TransactionKind.DEPOSIT],
        "posted_from": [moment(100), moment(15_000)],
        "posted_to": [moment(110), moment(15_010)],
    },
    "transactions.statement": {"wallet_id": [BUSY_WALLET, QUIET_WALLET]},
    "deliveries.page": {
        "key_id": [BUSY_KEY, QUIET_KEY],
        "endpoint_id": [UUID(int=11), UUID(int=12)],
        "state": [DeliveryState.SUCCEEDED, DeliveryState.FAILED, DeliveryState.PENDING],
        "event_type": ["transfer.succeeded", "wallet.opened"],
    },
    "actions.page": {
        "action": [Action.WALLET_FREEZE, Action.KEY_CREATE],
        "object": [str(UUID(int=5)), str(UUID(int=9))],
    },
    # Its own bound, SCAN_MAX, is what it reads at most: see test_plans.
    "events.stretch": {},
}
BEFORE: Mapping[str, list[Any]] = {
    "transactions.statement": [None, ROWS // 2],
    "events.stretch": [db.events.Position(xact_id=number, event_id=UUID(int=0)) for number in (1, 10_000)],
}
REQUIRED = {"transactions.statement"}  # Nothing to leave open.


def through_a_wallets_history(name: str, chosen: Mapping[str, Any]) -> bool:
    """A wallet's own entries are read through for what is rare among them: no index has a wallet and a kind or time."""
    return name == "transactions.page" and bool(chosen.get("wallet_ids")) and len(chosen) > 1


def lists() -> dict[str, Callable[..., object]]:
    """Return every function of `db` that takes a limit, by `module.name`."""
    modules = [importlib.import_module(f"db.{module.name}") for module in pkgutil.iter_modules(db.__path__)]
    return {
        f"{module.__name__.removeprefix('db.')}.{name}": function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and "limit" in inspect.signature(function).parameters
    }


def narrowed(name: str) -> Iterator[dict[str, Any]]:
    """Yield every combination of what a list can be narrowed to."""
    choices = [
        [(field, value) for value in values] + ([] if name in REQUIRED else [None])
        for field, values in WANTED[name].items()
    ]
    for chosen in itertools.product(*choices):
        yield dict(one for one in chosen if one is not None)


def asking(name: str, function: Callable[..., object], chosen: Mapping[str, Any], before: Any) -> Ask:
    parameters = inspect.signature(function).parameters
    if "wanted" in parameters:
        return partial(_ask, function, [parameters["wanted"].annotation(**chosen), before, LIMIT])
    return partial(_ask, function, [*(chosen.get(field) for field in WANTED[name]), before, LIMIT])


def _ask(function: Callable[..., object], arguments: list[Any], connection: Connection) -> object:
    return function(connection, *arguments)


@pytest.fixture(scope="module")
def filled(environment: Mapping[str, str]) -> str:
    """Fill every table that is listed, so that what is rare is far away; return the database's address."""
    fill(environment["DATABASE_URL"], FILL, BIG, TIMES, rows=ROWS)
    return environment["DATABASE_URL"]


FILL = f"""
    INSERT INTO api_keys (id, name, digest, scopes)
    SELECT {uuid_of("n")}, 'k', uuid_send({uuid_of("n")}), '{{*}}' FROM generate_series(1, 2) AS n;
    INSERT INTO webhook_endpoints (id, key_id, url, event_types)
    SELECT {uuid_of("n")}, {uuid_of("1 + n % 2")}, 'https://example.rw/', '{{*}}' FROM generate_series(11, 40) AS n;
    INSERT INTO customers (id, full_name, email, national_id_sealed, national_id_index, password_hash)
    SELECT {uuid_of("n")}, 'C', 'c' || n || '@example.rw', '', n, '' FROM generate_series(1, :rows) AS n;
    INSERT INTO wallets (id, number, customer_id, type, currency, balance_max)
    SELECT {uuid_of("n")}, n, {uuid_of("n / 2")}, 'personal', 'RWF', 1 FROM generate_series(1, :rows) AS n;
    INSERT INTO jobs (id, kind, queue, state, caller, idempotency_key, fingerprint, payload, result, error, finished_at)
    SELECT {uuid_of("n")}, kind, CASE kind WHEN 'wallet.open' THEN 'wallets' ELSE 'transactions' END, state,
           CASE WHEN n % 10 = 9 AND n < {FEW} * 10 THEN '{QUIET}' ELSE '{BUSY}' END, n, '', '{{}}',
           CASE state WHEN 'succeeded' THEN CAST('{{}}' AS jsonb) END,
           CASE WHEN state IN ('rejected', 'failed') THEN CAST('{{"code": "c", "message": "m"}}' AS jsonb) END,
           CASE WHEN state <> 'queued' THEN now() END
      FROM generate_series(1, :rows) AS n,
           LATERAL (SELECT CASE WHEN n >= {FEW} THEN 'transfer.create' WHEN n % 2 = 0 THEN 'deposit.create'
                                ELSE 'wallet.open' END AS kind,
                           CASE WHEN n BETWEEN {JOBS_QUEUED.start} AND {JOBS_QUEUED.stop} THEN 'queued'
                                WHEN n > {FEW} THEN 'succeeded' WHEN n % 3 = 0 THEN 'rejected'
                                WHEN n % 3 = 1 THEN 'failed'
                                ELSE 'succeeded' END AS state) AS said;
    INSERT INTO transactions (id, kind, amount, currency, source_wallet_id, destination_wallet_id, posted_at, seal)
    SELECT {uuid_of("n")}, CASE WHEN n < {FEW} THEN 'deposit' ELSE 'transfer' END, 1, 'RWF',
           CASE WHEN n >= {FEW} THEN {uuid_of(str(BUSY_WALLET.int))} END,
           CASE WHEN n % 1000 = 0 THEN {uuid_of(str(QUIET_WALLET.int))} ELSE {uuid_of("n")} END,
           CAST('{moment(0)}' AS timestamptz) + make_interval(secs => n), ''
      FROM generate_series(1, :rows) AS n;
    INSERT INTO entries (wallet_id, sequence, transaction_id, amount, balance_after, seal)
    SELECT coalesce(source_wallet_id, {uuid_of(str(BUSY_WALLET.int))}), row_number() OVER (ORDER BY id), id, 1, 1,
           CAST('' AS bytea)
      FROM transactions
     UNION ALL
    SELECT destination_wallet_id, row_number() OVER (ORDER BY id), id, 1, 1, CAST('' AS bytea) FROM transactions
     WHERE kind = 'transfer';
    INSERT INTO events (id, type, occurred_at, job_id, caller, xact_id)
    SELECT {uuid_of("n")}, 'transfer.succeeded', now(), {uuid_of("n")}, '{BUSY}', n FROM generate_series(1, :rows) AS n;
    INSERT INTO webhook_deliveries (id, event_id, event_type, key_id, endpoint_id, state, finished_at)
    SELECT {uuid_of("n")}, {uuid_of("n")}, CASE WHEN n < {FEW} THEN 'wallet.opened' ELSE 'transfer.succeeded' END,
           CASE WHEN n % 100 = 1 AND n < {FEW} * 10 THEN {uuid_of("2")} ELSE {uuid_of("1")} END,
           CASE WHEN n % 100 = 1 AND n < {FEW} * 10 THEN {uuid_of("12")} ELSE {uuid_of("11")} END,
           state, CASE WHEN state <> 'pending' THEN now() END
      FROM generate_series(1, :rows) AS n,
           LATERAL (SELECT CASE WHEN n BETWEEN 9000 AND 9020 THEN 'pending' WHEN n % 5 = 1 AND n < 5000 THEN 'failed'
                                ELSE 'succeeded' END AS state) AS said;
    INSERT INTO operator_actions (id, actor, action, object)
    SELECT {uuid_of("n")}, 'a', CASE WHEN n < {FEW} THEN 'key.create' ELSE 'wallet.freeze' END,
           CAST(CASE WHEN n % 10 = 9 AND n < {FEW} * 10 THEN {uuid_of("9")} ELSE {uuid_of("5")} END AS text)
      FROM generate_series(1, :rows) AS n;
    INSERT INTO sessions (id, customer_id, expires_at, place)
    SELECT {uuid_of("n")}, {uuid_of("n")}, now() + interval '1 day', n FROM generate_series(1, :rows) AS n;
    INSERT INTO refresh_tokens (digest, session_id)
    SELECT uuid_send({uuid_of("n")}), {uuid_of("n")} FROM generate_series(1, :rows) AS n
"""  # noqa: S608 - constants


def test_each_list_is_known() -> None:
    assert set(lists()) == set(WANTED)
    for name, function in lists().items():
        wanted = inspect.signature(function).parameters.get("wanted")
        if wanted is not None and WANTED[name]:
            assert set(wanted.annotation.__struct_fields__) == set(WANTED[name])


@pytest.mark.parametrize("name", list(WANTED))
def test_a_page_costs_a_page_whatever_it_is_narrowed_to(
    filled: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(db.events, "SCAN_MAX", LIMIT)
    function = lists()[name]
    costly = []
    with connected(filled) as connection:
        for chosen, before in itertools.product(narrowed(name), BEFORE.get(name, [None, MIDDLE])):
            if through_a_wallets_history(name, chosen):
                continue
            ask = asking(name, function, chosen, before)
            read = max(rows_read(connection, ask, plans) for plans in PLANS)
            if read > READ_MAX:
                costly.append((chosen, before, read))
    assert costly == []


BY_KEY: Mapping[str, Ask] = {
    "customers.find": lambda tx: db.customers.find(tx, MIDDLE),
    "customers.find_by_email": lambda tx: db.customers.find_by_email(tx, "c77@example.rw"),
    "wallets.find": lambda tx: db.wallets.find(tx, MIDDLE),
    "wallets.owners": lambda tx: db.wallets.owners(tx, [MIDDLE, LATEST]),
    "wallets.ids_of": lambda tx: db.wallets.ids_of(tx, MIDDLE),
    "wallets.ids_by_number": lambda tx: db.wallets.ids_by_number(tx, {"77", "78"}),
    "wallets.lock": lambda tx: db.wallets.lock(tx, {MIDDLE, LATEST}),
    "legacy_ids.find": lambda tx: db.legacy_ids.find(tx, LegacyKind.WALLET, ["77", "78"]),
    "jobs.find": lambda tx: db.jobs.find(tx, MIDDLE),
    "jobs.find_by_keys": lambda tx: db.jobs.find_by_keys(tx, {(BUSY, "77"), (QUIET, "78")}),
    "jobs.find_finished": lambda tx: db.jobs.find_finished(tx, [MIDDLE, LATEST]),
    "jobs.progress": lambda tx: db.jobs.progress(tx, MIDDLE),
    "jobs.cancel": lambda tx: db.jobs.cancel(tx, MIDDLE),
    "jobs.open_counts": lambda tx: db.jobs.open_counts(tx, [BUSY, QUIET], 100),
    "transactions.find": lambda tx: db.transactions.find(tx, MIDDLE),
    "events.find": lambda tx: db.events.find(tx, MIDDLE, db.events.Filter()),
    "events.position": lambda tx: db.events.position(tx, MIDDLE),
    "deliveries.find": lambda tx: db.deliveries.find(tx, MIDDLE, None),
    "webhooks.find": lambda tx: db.webhooks.find(tx, UUID(int=11)),
    "keys.find_valid": lambda tx: db.keys.find_valid(tx, [BUSY_KEY.bytes]),
    "sessions.alive": lambda tx: db.sessions.alive(tx, [MIDDLE, LATEST]),
    "sessions.email": lambda tx: db.sessions.email(tx, MIDDLE.bytes),
    "sessions.is_known": lambda tx: db.sessions.is_known(tx, "77"),
    "sessions.rotate": lambda tx: db.sessions.rotate(tx, MIDDLE.bytes, b"next"),
    "sessions.revoke_by_token": lambda tx: db.sessions.revoke_by_token(tx, MIDDLE.bytes),
}
KEY_READ_MAX = 50  # Two rows, what is joined to them, and the few queued jobs that are counted.


@pytest.mark.parametrize("name", list(BY_KEY))
def test_a_read_by_key_reads_its_rows(filled: str, name: str) -> None:
    with connected(filled) as connection:
        assert max(rows_read(connection, BY_KEY[name], plans) for plans in PLANS) <= KEY_READ_MAX
        nodes = [node for plan in planned_for_values(connection, BY_KEY[name]) for node in plan.walk()]
        assert {node.table for node in nodes if node.kind == "Seq Scan"} & BIG == set()


def test_whatever_finds_something_by_its_key_is_in_the_table() -> None:
    finders = {
        f"{module.name}.{name}"
        for module in pkgutil.iter_modules(db.__path__)
        for name in vars(importlib.import_module(f"db.{module.name}"))
        if name.startswith("find")
    }
    assert finders <= BY_KEY.keys()
