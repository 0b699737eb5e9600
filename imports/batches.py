"""Batches of a file: parsed, sealed and ready to be written."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import msgspec

import domain.imported_customers
import domain.imported_wallets
from api.pii import Vault
from domain.imported_customers import ImportedCustomer, SealedCustomer
from domain.imported_wallets import ImportedWallet, OpenedWallet
from domain.imports import FileKind, LegacyKind, identifier
from domain.openings import DESCRIPTION, opening
from domain.transactions import Movement
from imports.rejects import Rejected
from imports.source import Record, Source
from settings import Settings

ROWS = 5_000  # In one transaction: about a second, and 10 MB while it is made.


class Batch(msgspec.Struct, kw_only=True):
    """What a piece of a file comes to: customers or wallets, and in `rows` the row number of each."""

    customers: list[SealedCustomer] = []
    wallets: list[OpenedWallet] = []
    rows: list[int] = []
    rejected: list[Rejected] = []
    posted_at: datetime
    position: int = 0  # The byte behind it.
    row_number: int = 0  # Its last row.
    is_last: bool = False


class Maker:
    """Makes batches of one file."""

    def __init__(self, source: Source, config: Settings, rows: int = ROWS) -> None:
        self.source, self.config, self.rows = source, config, rows
        self._vault = Vault(config.pii_keys, config.index_key)
        self._seal_key = config.seal_key.encode()
        self._is_customers = source.header.kind is FileKind.CUSTOMERS

    def batches(self) -> Iterator[Batch]:
        """Yield the rest of the file; its last batch may be empty, and is always there."""
        records = self.source.records()
        while True:
            batch = Batch(posted_at=datetime.now(UTC))
            piece = list(islice(records, self.rows))
            for record in piece:
                self._add(batch, record)
            batch.position, batch.row_number = self.source.position, self.source.row_number
            batch.is_last = len(piece) < self.rows
            yield batch
            if batch.is_last:
                return

    def _add(self, batch: Batch, record: Record) -> None:
        if record.problem is not None:
            batch.rejected.append(Rejected(row_number=record.row_number, legacy_id="", problems=[record.problem]))
            return
        row = self._parse(record, batch.posted_at)
        if isinstance(row, list):
            old_id = record.values[0].strip()
            batch.rejected.append(Rejected(row_number=record.row_number, legacy_id=old_id, problems=row))
            return
        batch.rows.append(record.row_number)
        if isinstance(row, ImportedCustomer):
            batch.customers.append(self._sealed(row))
        else:
            batch.wallets.append(self._opened(row, batch.posted_at))

    def _parse(self, record: Record, now: datetime) -> ImportedCustomer | ImportedWallet | list[domain.imports.Problem]:
        if self._is_customers:
            return domain.imported_customers.parse(record.values, now, self.config.default_phone_region)
        return domain.imported_wallets.parse(record.values, now, self.config.balance_max)

    def _sealed(self, row: ImportedCustomer) -> SealedCustomer:
        vault = self._vault
        return SealedCustomer(
            id=identifier(LegacyKind.CUSTOMER, row.legacy_id, row.created_at),
            legacy_id=row.legacy_id,
            full_name=row.full_name,
            email=row.email,
            national_id_sealed=vault.seal(row.national_id),
            national_id_index=vault.index("national_id", row.national_id),
            phone_sealed=row.phone and vault.seal(row.phone),
            phone_index=row.phone and vault.index("phone", row.phone),
            gender=row.gender,
            password_hash=row.password_hash,
            created_at=row.created_at,
        )

    def _opened(self, row: ImportedWallet, posted_at: datetime) -> OpenedWallet:
        wallet_id = identifier(LegacyKind.WALLET, row.legacy_id, row.created_at)
        if not row.balance:
            return OpenedWallet(id=wallet_id, row=row, opening=None)
        movement = Movement(
            amount=row.balance,
            currency=row.currency,
            destination_wallet_id=wallet_id,
            description=DESCRIPTION,
            external_reference=row.legacy_id,
        )
        posted = opening(identifier("opening", row.legacy_id, posted_at), movement, posted_at, self._seal_key)
        return OpenedWallet(id=wallet_id, row=row, opening=posted)
