"""What a place where batches go must do, and what becomes of a batch there."""

from typing import Protocol

import imports.customers
import imports.wallets
from db.engine import Connection
from db.imports import Import, Progress
from domain.control_totals import added
from domain.imports import FileKind
from imports.batches import Batch
from imports.rejects import Rejects
from settings import Settings


class Target(Protocol):
    config: Settings
    batch_rows: int

    def begin(self, digest: bytes, kind: FileKind, file_name: str) -> Import:
        """Return how far this file has come before."""
        ...

    def settle(self, one: Import, batch: Batch, rejects: Rejects) -> Progress:
        """Return how far it has come with the batch."""
        ...


def settled(
    tx: Connection, config: Settings, before: Progress, work: tuple[Batch, Rejects], *, is_dry: bool = False
) -> Progress:
    """Settle a batch; its rejects are on the disk before anything is committed."""
    batch, rejects = work
    if batch.customers:
        found = imports.customers.settle(tx, batch, is_dry=is_dry)
    else:
        found = imports.wallets.settle(tx, batch, config.balance_max, is_dry=is_dry)
    return Progress(
        position=batch.position,
        row_number=batch.row_number,
        reject_bytes=rejects.write(found.rejected, before.reject_bytes),
        imported=before.imported + len(batch.rows) + len(batch.rejected) - len(found.rejected),
        rejected=before.rejected + len(found.rejected),
        totals=added([before.totals, found.totals]),
    )
