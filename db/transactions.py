"""Posted transactions and their entries: written once, never edited."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, text

from db.rows import encode
from domain.ledger import Settlement
from domain.transactions import StatementEntry, Transaction, TransactionKind


def post(connection: Connection, settlement: Settlement) -> None:
    """Write a settlement's transactions and, in one statement, all their entries."""
    if not settlement.postings:
        return
    parameters = {
        "rows": encode(settlement.postings),
        "movements": encode([posting.movement for posting in settlement.postings]),
        "posted_at": settlement.posted_at,
    }
    connection.execute(POST_TRANSACTIONS, parameters)
    connection.execute(POST_ENTRIES, {"rows": encode(settlement.entries)})


# The two functions' rows stand side by side: to read a movement out of each posting costs a call for each.
POST_TRANSACTIONS = text("""
    INSERT INTO transactions (id, kind, seal, job_id, amount, currency, source_wallet_id, destination_wallet_id,
                              description, external_reference, metadata, posted_at)
    SELECT id, kind, decode(seal, 'base64'), job_id, amount, currency, source_wallet_id, destination_wallet_id,
           description, external_reference, metadata, CAST(:posted_at AS timestamptz)
      FROM ROWS FROM (
               json_to_recordset(CAST(:rows AS json)) AS (id uuid, kind text, seal text, job_id uuid),
               json_to_recordset(CAST(:movements AS json))
                   AS (amount bigint, currency text, source_wallet_id uuid, destination_wallet_id uuid,
                       description text, external_reference text, metadata jsonb)) AS posted
""")

# An entry without a balance is a system wallet's: it notes its database transaction for the fold.
POST_ENTRIES = text("""
    INSERT INTO entries (wallet_id, sequence, transaction_id, amount, balance_after, seal, xact_id)
    SELECT wallet_id, coalesce(sequence, nextval('system_entries')), transaction_id, amount, balance_after,
           decode(seal, 'base64'),
           CASE WHEN balance_after IS NULL THEN CAST(CAST(pg_current_xact_id() AS text) AS bigint) END
      FROM json_to_recordset(CAST(:rows AS json))
           AS posted (wallet_id uuid, sequence bigint, transaction_id uuid, amount bigint, balance_after bigint,
                      seal text)
""")


def fold_system_wallets(connection: Connection) -> int:
    """Add to the system wallets' balances what was posted since the last fold; return how many changed.

    Only entries of database transactions that have all ended are folded: sequence numbers become
    visible out of order, transaction ids below the snapshot's oldest running one do not.
    """
    return connection.execute(FOLD).rowcount


FOLD = text("""
    WITH horizon AS (SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS xact_id),
    system AS (SELECT id, folded_before FROM wallets WHERE customer_id IS NULL ORDER BY id FOR NO KEY UPDATE),
    folded AS (
        SELECT system.id, sum(entries.amount) AS amount
          FROM horizon, system JOIN entries ON entries.wallet_id = system.id
         WHERE entries.xact_id >= system.folded_before AND entries.xact_id < horizon.xact_id
         GROUP BY system.id
    )
    UPDATE wallets SET balance = balance + folded.amount, folded_before = horizon.xact_id
      FROM folded, horizon WHERE wallets.id = folded.id
""")


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of transactions is narrowed to. `wallet_ids` None: every wallet; times compare with `posted_at`."""

    wallet_ids: Sequence[UUID] | None = None
    kind: TransactionKind | None = None
    posted_from: datetime | None = None
    posted_to: datetime | None = None


def find(connection: Connection, transaction_id: UUID) -> Transaction | None:
    statement = text(PAGE.format(matches="id = :id", before="true"))
    row = connection.execute(statement, {"id": transaction_id, "limit": 1}).first()
    return None if row is None else _transaction(row)


def page(connection: Connection, wanted: Filter, before: UUID | None, limit: int) -> list[Transaction]:
    """Return at most `limit` transactions, newest first, that are older than `before`.

    Everybody's are in the order in which they were posted, as an index has them. For wallets, the newest of each are
    read through the index on entries and merged, so that a page costs the same however long the history is.
    """
    given = {name: value for name in MATCHES if (value := getattr(wanted, name)) is not None}
    conditions = [MATCHES[name] for name in given] + ([] if wanted.kind is None else [KINDS[wanted.kind]])
    query, after = (PAGE, BEFORE) if wanted.wallet_ids is None else (PAGE_OF_WALLETS, BEFORE_OF_WALLET)
    statement = query.format(matches=" AND ".join(["true", *conditions]), before="true" if before is None else after)
    parameters = given | {"wallets": list(wanted.wallet_ids or []), "before": before, "limit": limit}
    return [_transaction(row) for row in connection.execute(text(statement), parameters)]


COLUMNS = (
    "transactions.id, transactions.kind, transactions.amount, transactions.currency, source_wallet_id,"
    " destination_wallet_id, description, external_reference, coalesce(metadata, '{{}}') AS metadata,"
    " CASE WHEN transactions.kind <> 'opening' THEN coalesce(transactions.job_id, transactions.id) END AS job_id,"
    " posted_at"
)
MATCHES = {"posted_from": "posted_at >= :posted_from", "posted_to": "posted_at < :posted_to"}
# A constant, not a parameter: the index of what is no transfer is used only where it is known to be none.
KINDS = {kind: f"transactions.kind = '{kind}'" for kind in TransactionKind}
BEFORE = "(posted_at, id) < (SELECT posted_at, id FROM transactions WHERE id = :before)"
BEFORE_OF_WALLET = "entries.transaction_id < :before"
PAGE = f"""
    SELECT {COLUMNS} FROM transactions WHERE {{matches}} AND {{before}} ORDER BY posted_at DESC, id DESC LIMIT :limit
"""  # noqa: S608 - constants
# OFFSET 0: it begins with the entries, also where a planner guesses that a wallet has most of all transactions.
PAGE_OF_WALLETS = f"""
    SELECT DISTINCT ON (newest.id) newest.*
      FROM unnest(CAST(:wallets AS uuid[])) AS wanted (wallet_id),
           LATERAL (SELECT found.*
                      FROM entries, LATERAL (SELECT {COLUMNS} FROM transactions
                                              WHERE id = entries.transaction_id AND {{matches}} OFFSET 0) AS found
                     WHERE entries.wallet_id = wanted.wallet_id AND {{before}}
                     ORDER BY entries.transaction_id DESC LIMIT :limit) AS newest
     ORDER BY newest.id DESC LIMIT :limit
"""  # noqa: S608 - constants


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with its place in the wallet's history."""

    sequence: int
    entry: StatementEntry


def statement(connection: Connection, wallet_id: UUID, before: int | None, limit: int) -> list[StatementLine]:
    """Return at most `limit` entries of a wallet, newest first, from below sequence `before`."""
    parameters = {"wallet": wallet_id, "before": SEQUENCE_MAX if before is None else before, "limit": limit}
    rows = connection.execute(STATEMENT, parameters)
    return [
        StatementLine(sequence=row.sequence, entry=msgspec.convert(row, StatementEntry, from_attributes=True))
        for row in rows
    ]


SEQUENCE_MAX = 2**63 - 1  # A plain bound, so that a prepared statement begins in the index where the page does.
STATEMENT = text("""
    SELECT entries.sequence, entries.transaction_id, transactions.kind, entries.amount, entries.balance_after,
           counterparty.number AS counterparty_number, transactions.description, transactions.posted_at
      FROM entries
      JOIN transactions ON transactions.id = entries.transaction_id
      LEFT JOIN wallets AS counterparty
        ON counterparty.id = CASE WHEN entries.wallet_id = transactions.source_wallet_id
                                  THEN transactions.destination_wallet_id ELSE transactions.source_wallet_id END
     WHERE entries.wallet_id = :wallet AND entries.sequence < :before
     ORDER BY entries.sequence DESC LIMIT :limit
""")


def _transaction(row: Row[Any]) -> Transaction:
    return msgspec.convert(row, Transaction, from_attributes=True)
