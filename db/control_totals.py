"""What has come from the previous platform so far, in sum."""

from sqlalchemy import Connection, text

from domain.control_totals import Holding, Totals
from domain.imports import LegacyKind


def totals(connection: Connection) -> Totals:
    """Return customers, wallets and their opening balances, whatever has moved since."""
    customers = connection.scalar(CUSTOMERS, {"kind": LegacyKind.CUSTOMER})
    rows = connection.execute(HOLDINGS, {"kind": LegacyKind.WALLET})
    currencies = {row.currency: Holding(wallets=row.wallets, balance_minor=int(row.balance)) for row in rows}
    return Totals(customers=customers or 0, currencies=currencies)


CUSTOMERS = text("SELECT count(*) FROM legacy_ids WHERE kind = :kind")
HOLDINGS = text("""
    SELECT wallets.currency, count(*) AS wallets, coalesce(sum(transactions.amount), 0) AS balance
      FROM legacy_ids
      JOIN wallets ON wallets.id = legacy_ids.id
      LEFT JOIN entries ON entries.wallet_id = wallets.id AND entries.sequence = 1
      LEFT JOIN transactions ON transactions.id = entries.transaction_id AND transactions.kind = 'opening'
     WHERE legacy_ids.kind = :kind
     GROUP BY wallets.currency ORDER BY wallets.currency
""")
