"""Where batches go: into the database. A batch, and how far its file has come, are one commit."""

import db.actions
import db.imports
import domain.actions
import process
from db.copy_rows import CopyConflict
from db.engine import is_retryable, transaction
from db.imports import Import, Progress
from domain.actions import Action, NewAction
from domain.imports import FileKind
from imports.batches import Batch
from imports.rejects import Rejects
from imports.targets import settled
from settings import Settings

TRIES = 3  # Of a batch that a registration of the same moment got in the way of; twice in a row will not happen.


class Books:
    def __init__(self, config: Settings, batch_rows: int) -> None:
        self.config, self.batch_rows = config, batch_rows

    def begin(self, digest: bytes, kind: FileKind, file_name: str) -> Import:
        with transaction(self.config.database_url) as tx:
            found = db.imports.begin(tx, digest, kind, file_name)
            if not found.is_finished:
                db.actions.record(tx, _run(found, kind, file_name))
            return found

    def settle(self, one: Import, batch: Batch, rejects: Rejects, tries: int = TRIES) -> Progress:
        try:
            with transaction(self.config.database_url) as tx:
                db.imports.hold(tx, one.id, one.progress)  # Before the reject file is written: that is not undone.
                after = settled(tx, self.config, one.progress, (batch, rejects))
                db.imports.advance(tx, one.id, after, is_last=batch.is_last)
        except Exception as error:
            if tries == 1 or not (isinstance(error, CopyConflict) or is_retryable(error)):
                raise
            return self.settle(one, batch, rejects, tries - 1)
        return after


def _run(one: Import, kind: FileKind, file_name: str) -> NewAction:
    details = {"kind": kind, "file_name": file_name, "from_row": one.progress.row_number}
    actor = domain.actions.command(process.account())
    return NewAction(actor=actor, action=Action.IMPORT_RUN, object=str(one.id), details=details)
