"""Files brought over: what is there afterwards, what was rejected and why, and what a dry run says of it before."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

import db.actions
import db.audit
import db.customers
import db.engine
import db.legacy_ids
import db.transactions
import db.wallets
import process
import settings
from db.actions import Filter
from db.engine import transaction
from domain.actions import Action
from domain.control_totals import Holding, Totals
from domain.imports import LegacyKind
from domain.wallets import number
from imports.calls import Call, run
from imports.source import Unreadable
from imports.summaries import Summary
from imports.verifying import verify
from local.stack import Stack
from settings import Settings
from tests import committed, databases, made

HASH = "$2b$10$Q9GvFiMtUEwpZbOMKpTuI.tO.neVRQpGa6YgXw51dfRSuWCNMjc8q"
AT = "2019-03-04T05:06:07Z"
CUSTOMERS = f"""legacy_id,full_name,email,national_id,phone,password_hash,created_at
C1,Back\\Slash,one@post.example,1199080012345678,0788000001,{HASH},{AT}
C2,Two Names,TWO@post.example,1199080012345679,,{HASH},{AT}
C2,Again Two,again@post.example,1199080012345680,,{HASH},{AT}
C3,Same Mail,two@post.example,1199080012345681,,{HASH},{AT}
C4,Same Id,four@post.example,1 1990 8001 2345678,,{HASH},{AT}
C5,No Hash,five@post.example,1199080012345682,12,secret,{AT}
C6,Taken Mail,taken@example.rw,1199080012345683,,{HASH},{AT}
"""
WALLETS = f"""state,legacy_id,customer_legacy_id,currency,balance_minor,created_at,number
open,W1,C1,USD,1250,{AT},{number(10**9)}
open,W2,C2,USD,0,{AT},
frozen,W3,C1,RWF,700,{AT},
open,W3,C1,RWF,1,{AT},
open,W4,C9,RWF,1,{AT},
open,W5,C1,RWF,1,{AT},{number(10**9)}
closed,W6,C1,RWF,0,{AT},
open,W7,C1,RWF,-1,{AT},
"""
REJECTED = {
    "customers": [
        ("4", "C2", "legacy_id"),
        ("5", "C3", "email"),
        ("6", "C4", "national_id"),
        ("7", "C5", "phone"),
        ("7", "C5", "password_hash"),
        ("8", "C6", "email"),
    ],
    "wallets": [
        ("5", "W3", "legacy_id"),
        ("6", "W4", "customer_legacy_id"),
        ("7", "W5", "number"),
        ("9", "W7", "balance_minor"),
    ],
}
TOTALS = Totals(
    customers=2,
    currencies={"USD": Holding(wallets=2, balance_minor=12_50), "RWF": Holding(wallets=2, balance_minor=7_00)},
)


class World(NamedTuple):
    """What was imported into a database of its own, by batches of three rows."""

    config: Settings
    paths: list[Path]
    summary: Summary


@pytest.fixture(scope="module")
def world(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    paths = written(tmp_path_factory.mktemp("world"))
    with databases.copied(servers.env) as environment:
        config = settings.read(environment)
        take_an_address(config)
        yield World(config=config, paths=paths, summary=brought(paths, config))
        db.engine.engine(config.database_url).dispose()


def written(folder: Path) -> list[Path]:
    (folder / "w.csv").write_text(WALLETS, encoding="utf-8")
    (folder / "c.csv").write_text(CUSTOMERS, encoding="utf-8")
    return [folder / "w.csv", folder / "c.csv"]


def take_an_address(config: Settings) -> None:
    with transaction(config.database_url) as tx:
        db.customers.insert(tx, {uuid7(): made.registration("taken")})


def quiet(_bytes: int, _rows: int) -> None:
    """Say nothing."""


def brought(paths: list[Path], config: Settings, *, batch_rows: int = 3, is_dry: bool = False) -> Summary:
    return run(Call(paths=paths, batch_rows=batch_rows, is_dry=is_dry), config, quiet)


def rejects(summary: Summary) -> dict[str, list[tuple[str, str, str]]]:
    found = {}
    for one in summary.files:
        with Path(str(one.rejects)).open(encoding="utf-8") as file:
            found[str(one.kind)] = [(row["row"], row["legacy_id"], row["field"]) for row in csv.DictReader(file)]
    return found


def findings(config: Settings) -> list[str]:
    return [str(one) for _, found in db.audit.verify(config.database_url, config.seal_key.encode()) for one in found]


# Before the others: `fresh` forgets, at its end, every engine that there is.
def test_a_dry_run_says_the_same_and_leaves_nothing(tmp_path: Path, fresh: Settings) -> None:
    take_an_address(fresh)
    paths = written(tmp_path)
    dry = brought(paths, fresh, is_dry=True)
    assert (rejects(dry), dry.totals, dry.after) == (REJECTED, TOTALS, Totals())
    with transaction(fresh.database_url) as tx:
        assert tx.scalar(text("SELECT count(*) FROM imports")) == 0
    assert rejects(brought(paths, fresh, batch_rows=1)) == REJECTED


def test_good_rows_come_over_and_bad_ones_are_named(world: World) -> None:
    assert rejects(world.summary) == REJECTED
    assert (world.summary.totals, world.summary.after, world.summary.differences) == (TOTALS, TOTALS, [])
    assert findings(world.config) == []


def test_a_file_that_was_imported_is_not_imported_again_whatever_its_name(world: World, tmp_path: Path) -> None:
    again = brought([path.rename(tmp_path / path.name) for path in written(tmp_path)], world.config)
    assert (again.rows, again.totals, again.before, again.after) == (0, TOTALS, TOTALS, TOTALS)


def test_each_file_that_was_imported_is_recorded_once(world: World) -> None:
    with transaction(world.config.database_url) as tx:
        found = db.actions.page(tx, Filter(action=Action.IMPORT_RUN), None, 100)
    assert [(one.details["kind"], one.details["file_name"]) for one in reversed(found)] == [
        ("customers", "c.csv"),
        ("wallets", "w.csv"),
    ]
    assert {one.actor for one in found} == {f"cli:{process.account()}"}


def test_a_wallet_of_a_customer_who_is_frozen_is_rejected(world: World, tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    path.write_text(WALLETS.partition("\n")[0] + f"\nopen,LATE,C1,RWF,5,{AT},\n", encoding="utf-8")
    change = "UPDATE customers SET state = '{}' WHERE id = (SELECT id FROM legacy_ids WHERE legacy_id = 'C1')"
    committed.execute(world.config.database_url, change.format("frozen"))
    refused = rejects(brought([path], world.config, is_dry=True))
    committed.execute(world.config.database_url, change.format("open"))
    assert refused == {"wallets": [("2", "LATE", "customer_legacy_id")]}


def test_the_audit_names_an_opening_of_a_wallet_that_nobody_imported(world: World) -> None:
    committed.execute(world.config.database_url, "UPDATE legacy_ids SET kind = 'customer' WHERE legacy_id = 'W1'")
    found = findings(world.config)
    committed.execute(world.config.database_url, "UPDATE legacy_ids SET kind = 'wallet' WHERE legacy_id = 'W1'")
    assert len(found) == 1
    assert "opens a wallet that was not imported" in found[0]


def test_two_files_with_one_reject_file_are_refused(world: World, tmp_path: Path) -> None:
    call = Call(paths=[tmp_path / "a" / "w.csv", tmp_path / "b" / "w.csv"], rejects=tmp_path)
    with pytest.raises(Unreadable, match="same reject file"):
        run(call, world.config, quiet)


@pytest.mark.parametrize("name", ["customers.rejects.csv", "customers.check.csv"])
def test_a_source_is_no_reject_file(world: World, tmp_path: Path, name: str) -> None:
    sources = [tmp_path / "customers.csv", tmp_path / name]
    for path in sources:
        path.write_text("legacy_id\n", encoding="utf-8")
    with pytest.raises(Unreadable, match=f"{name} is a reject file's name"):
        run(Call(paths=sources, is_dry="check" in name), world.config, quiet)
    assert sources[1].read_text(encoding="utf-8") == "legacy_id\n"


def test_an_opening_is_the_first_line_of_its_wallets_statement(world: World) -> None:
    with transaction(world.config.database_url) as tx:
        [wallet_id] = db.legacy_ids.find(tx, LegacyKind.WALLET, ["W1"]).values()
        [line] = db.transactions.statement(tx, wallet_id, None, 10)
        [listed] = db.transactions.page(tx, db.transactions.Filter(wallet_ids=[wallet_id]), None, 10)
    assert (line.sequence, line.entry.kind, line.entry.amount, line.entry.balance_after) == (1, "opening", 12_50, 12_50)
    assert (line.entry.description, line.entry.counterparty_number) == ("Opening balance", None)
    assert (listed.job_id, listed.external_reference, listed.amount) == (None, "W1", 12_50)


def test_dates_states_and_numbers_are_kept(world: World) -> None:
    with transaction(world.config.database_url) as tx:
        ids = db.legacy_ids.find(tx, LegacyKind.WALLET, ["W1", "W3"])
        first, third = (db.wallets.find(tx, ids[name]) for name in ("W1", "W3"))
    assert first is not None
    assert third is not None
    assert (first.number, first.created_at.isoformat()) == (number(10**9), "2019-03-04T05:06:07+00:00")
    assert (third.state, third.balance) == ("frozen", 7_00)


# What is changed behind our back (table, column, value, condition), and the rows that differ then.
TAMPERED = [
    (("wallets", "balance_max", "'1000000'", "state = 'closed'"), []),
    (("customers", "full_name", "'X'", "email = 'two@post.example'"), [(3, "C2", "full_name")]),
    (("wallets", "state", "'frozen'", "balance = 1250"), [(2, "W1", "state")]),
    (("legacy_ids", "legacy_id", "'W9'", "legacy_id IN ('W2', 'W9')"), [(3, "W2", "")]),
]


@pytest.mark.parametrize(("change", "expected"), TAMPERED)
def test_what_differs_from_the_source_is_named(
    world: World, tmp_path: Path, change: tuple[str, str, str, str], expected: list[tuple[int, str, str]]
) -> None:
    paths = [tmp_path / "w.csv", tmp_path / "c.csv"]
    for path, content, kind in zip(paths, (WALLETS, CUSTOMERS), ("wallets", "customers"), strict=True):
        path.write_text(without_bad(content, kind), encoding="utf-8")
    table, column, value, condition = change
    [[before]] = committed.execute(world.config.database_url, f"SELECT {column} FROM {table} WHERE {condition}")  # noqa: S608 - our own literals
    committed.execute(world.config.database_url, f"UPDATE {table} SET {column} = {value} WHERE {condition}")  # noqa: S608 - as above
    found = [(one.row, one.legacy_id, one.field) for one in verify(paths, world.config, quiet)]
    committed.execute(world.config.database_url, f"UPDATE {table} SET {column} = '{before}' WHERE {condition}")  # noqa: S608 - as above
    assert found == expected


def without_bad(content: str, kind: str) -> str:
    bad = {int(row) for row, _, _ in REJECTED[kind]}
    return "".join(line for row, line in enumerate(content.splitlines(keepends=True), start=1) if row not in bad)
