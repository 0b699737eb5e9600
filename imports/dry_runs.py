"""Where batches go in a dry run: past the database's questions, and no further."""

from uuid import UUID

import db.import_keys
from db.engine import Connection
from db.imports import Import, Progress
from domain.imports import FileKind
from imports.batches import Batch
from imports.rejects import Rejects
from imports.targets import settled
from settings import Settings


class DryRun:
    """Notes what it has read in a table of its connection, and writes nothing else."""

    def __init__(self, config: Settings, batch_rows: int, connection: Connection) -> None:
        self.config, self.batch_rows, self._connection = config, batch_rows, connection
        db.import_keys.read_only(connection)
        connection.commit()

    def begin(self, digest: bytes, kind: FileKind, file_name: str) -> Import:
        del digest, kind, file_name
        return Import(id=UUID(int=0), progress=Progress(), is_finished=False)

    def settle(self, one: Import, batch: Batch, rejects: Rejects) -> Progress:
        after = settled(self._connection, self.config, one.progress, (batch, rejects), is_dry=True)
        self._connection.commit()
        return after
