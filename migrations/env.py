"""Alembic's entry: runs the migrations on the connection that `db.schema.migrate` hands over."""

import re
from typing import Any

from alembic import context

from db.tables import metadata

PARTITION = re.compile(
    r"_(\d{4}_\d\d|default)$"
)  # They come and go with the months: housekeeping's, not a migration's.


def is_ours(_object: Any, name: str | None, kind: str, *found: Any) -> bool:
    """Leave out tables that the database has and `db.tables` does not, if they are partitions."""
    is_reflected, _compared = found
    return kind != "table" or not is_reflected or name in metadata.tables or not PARTITION.search(name or "")


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    include_object=is_ours,
    transaction_per_migration=True,  # What a migration locks is free again before the next one begins.
)
with context.begin_transaction():
    context.run_migrations()
