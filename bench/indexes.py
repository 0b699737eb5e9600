"""Indexes, taken away while much is written and built anew at the end."""

from collections import defaultdict
from collections.abc import Sequence

import psycopg


def take_away(owner: psycopg.Connection, tables: Sequence[str]) -> dict[str, list[str]]:
    """Drop what would be kept up to date row by row; return, for each table, what builds it again."""
    rows = owner.execute(INDEXES, {"tables": list(tables)}).fetchall()
    again: dict[str, list[str]] = defaultdict(list)
    for table, drop, build in rows:
        owner.execute(drop)
        again[table].append(build)
    return again


# Keys that other tables refer to stay: ids come in their order, which costs them little. An index of a partitioned
# table is shown as its own only, and is built on all partitions.
INDEXES = """
    SELECT CAST(CAST(conrelid AS regclass) AS text),
           format('ALTER TABLE %%s DROP CONSTRAINT %%I', CAST(conrelid AS regclass), conname),
           format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', CAST(conrelid AS regclass), conname,
                  pg_get_constraintdef(oid))
      FROM pg_constraint AS own
     WHERE CAST(CAST(conrelid AS regclass) AS text) = ANY(%(tables)s) AND contype IN ('p', 'u')
       AND NOT EXISTS (SELECT FROM pg_constraint AS other WHERE other.contype = 'f' AND other.conindid = own.conindid)
     UNION ALL
    SELECT tablename, format('DROP INDEX %%I', indexname), replace(indexdef, ' ON ONLY ', ' ON ')
      FROM pg_indexes
     WHERE tablename = ANY(%(tables)s)
       AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = CAST(indexname AS regclass))
"""
