"""How PostgreSQL goes about a statement, and how many rows it reads for it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, event, text

from tests.databases import connected

Ask = Callable[[Connection], object]
PLANS = ("force_custom_plan", "force_generic_plan")  # PostgreSQL's `plan_cache_mode`.
PREPARED_AFTER = 12  # Five times psycopg waits, five times PostgreSQL.


class Node(msgspec.Struct, frozen=True):
    """A step of a plan, with the steps that it needs."""

    kind: str = msgspec.field(name="Node Type")
    table: str | None = msgspec.field(name="Relation Name", default=None)
    index: str | None = msgspec.field(name="Index Name", default=None)
    needed: list["Node"] = msgspec.field(name="Plans", default_factory=list)
    rows: float = msgspec.field(name="Actual Rows", default=0)  # Each time that it was taken; only where it was run.
    times: float = msgspec.field(name="Actual Loops", default=0)

    def walk(self) -> Iterator["Node"]:
        yield self
        for node in self.needed:
            yield from node.walk()


class Explained(msgspec.Struct, frozen=True):
    plan: Node = msgspec.field(name="Plan")


def rows_read(connection: Connection, ask: Ask, plans: str) -> int:
    """Ask, and return how many rows and entries of indexes were read for it, in whatever way.

    `plans`: one of PLANS; a generic plan is what a statement comes to that is asked all day.
    """
    connection.execute(text(f"SET LOCAL plan_cache_mode = {plans}"))
    before = connection.scalar(READ_SO_FAR)
    ask(connection)
    read = connection.scalar(READ_SO_FAR) - before
    connection.rollback()
    return int(read)


# Of this transaction: rows of tables that were read through, entries that indexes returned.
READ_SO_FAR = text("""
    SELECT sum(pg_stat_get_xact_tuples_returned(pg_class.oid))
      FROM pg_class WHERE relnamespace = CAST('public' AS regnamespace) AND relkind IN ('r', 'i')
""")

# The planner believes in tables that are as much bigger: what it does with ten thousand rows does not matter.
LOOK_BIGGER = text("""
    UPDATE pg_class SET reltuples = reltuples * :times
     WHERE relname = ANY(:tables)
        OR oid IN (SELECT inhrelid FROM pg_inherits WHERE CAST(CAST(inhparent AS regclass) AS text) = ANY(:tables))
""")


def fill(url: str, script: str, tables: Collection[str], times: int, **values: int) -> None:
    """Run the statements of a script, and let the planner believe that these tables are so many times as big."""
    with connected(url) as owner:
        owner.exec_driver_sql("SET session_replication_role = replica")  # Rules and references would take their time.
        for statement in script.split(";"):
            owner.execute(text(statement), values)
        owner.exec_driver_sql("ANALYZE")
        owner.execute(LOOK_BIGGER, {"times": times, "tables": sorted(tables)})
        owner.commit()


def rows_of_steps(connection: Connection, statement: str, **values: object) -> float:
    """Run the statement, and return how many rows the steps of its plan made in all."""
    return sum(node.rows * node.times for node in explained(connection, "ANALYZE", statement, values).walk())


def explained(connection: Connection, how: str, statement: str, values: Mapping[str, Any]) -> Node:
    """Return how PostgreSQL goes about a statement of ours; `how`: ANALYZE, which runs it, or COSTS, which does not."""
    said = connection.execute(text(f"EXPLAIN ({how}, FORMAT JSON) {statement}"), values).scalar_one()
    return msgspec.convert(said, list[Explained])[0].plan


def uuid_of(number: str) -> str:
    """Return SQL for what `UUID(int=number)` is in Python."""
    return f"CAST(lpad(to_hex({number}), 32, '0') AS uuid)"


def planned_for_values(connection: Connection, ask: Ask) -> list[Node]:
    """Ask, and return how PostgreSQL goes about it for these values."""
    asked: list[tuple[str, Any]] = []

    def note(*said: Any) -> None:
        if "SAVEPOINT" not in said[2] and not said[2].startswith("SET"):
            asked.append((said[2], said[3]))

    event.listen(connection, "before_cursor_execute", note)
    ask(connection)
    event.remove(connection, "before_cursor_execute", note)
    connection.rollback()
    return [_plan(connection, "FORMAT JSON", statement, values) for statement, values in asked]


def planned_for_any(connection: Connection, ask: Ask) -> list[Node]:
    """Ask many times, and return how PostgreSQL goes about it where it has come to plan for any value."""
    for _ in range(PREPARED_AFTER):
        ask(connection)
        connection.rollback()
    generic = connection.scalars(text("SELECT statement FROM pg_prepared_statements WHERE generic_plans > 0")).all()
    return [_plan(connection, "GENERIC_PLAN, FORMAT JSON", statement) for statement in generic]


def _plan(connection: Connection, options: str, statement: str, values: Any = None) -> Node:
    said = connection.exec_driver_sql(f"EXPLAIN ({options}) {statement}", values).scalar_one()
    parents = {row.child: row.parent for row in connection.execute(PARENTS)}
    return _named(msgspec.convert(said, list[Explained])[0].plan, parents)


def _named(node: Node, parents: Mapping[str, str]) -> Node:
    """Call a partition that has rows, and its indexes, by the name of the whole; the others cost nothing."""
    table, index = (parents.get(name or "", name) for name in (node.table, node.index))
    needed = [_named(one, parents) for one in node.needed]
    return msgspec.structs.replace(node, table=table, index=index, needed=needed)


PARENTS = text("""
    SELECT child.relname AS child, parent.relname AS parent
      FROM pg_inherits
      JOIN pg_class AS parent ON parent.oid = inhparent
      JOIN pg_class AS child ON child.oid = inhrelid
      LEFT JOIN pg_index ON indexrelid = child.oid
      JOIN pg_class AS held ON held.oid = coalesce(indrelid, child.oid) AND held.reltuples > 0
""")
