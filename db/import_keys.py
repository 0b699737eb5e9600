"""Keys that no two imported rows may share: which are taken here, and, in a dry run, by rows that only were read."""

from collections.abc import Collection, Iterable
from enum import StrEnum

from sqlalchemy import Connection, text


class Key(StrEnum):
    CUSTOMER = "customer"  # The legacy id of one.
    WALLET = "wallet"
    EMAIL = "email"
    NATIONAL_ID = "national_id"  # Its index.
    NUMBER = "number"


TAKEN = {
    Key.CUSTOMER: text("SELECT legacy_id FROM legacy_ids WHERE kind = 'customer' AND legacy_id = ANY(:keys)"),
    Key.WALLET: text("SELECT legacy_id FROM legacy_ids WHERE kind = 'wallet' AND legacy_id = ANY(:keys)"),
    Key.EMAIL: text("SELECT email FROM customers WHERE email = ANY(:keys)"),
    Key.NATIONAL_ID: text("SELECT national_id_index FROM customers WHERE national_id_index = ANY(:keys)"),
    Key.NUMBER: text("SELECT number FROM wallets WHERE number = ANY(:keys)"),
}


def taken(connection: Connection, key: Key, keys: Collection[str]) -> set[str]:
    return set(connection.scalars(TAKEN[key], {"keys": list(keys)}))


def read_only(connection: Connection) -> None:
    """Make room for the keys of rows that are read and not written; it goes with the connection."""
    connection.execute(text("CREATE TEMP TABLE read_keys (key text, value text, PRIMARY KEY (key, value))"))


def read(connection: Connection, key: Key, keys: Collection[str]) -> set[str]:
    """Return which of the keys an earlier row had that was only read."""
    return set(connection.scalars(READ, {"key": key, "keys": list(keys)}))


def note(connection: Connection, key: Key, keys: Iterable[str]) -> None:
    """Remember the keys of rows that are only read."""
    connection.execute(NOTE, {"key": key, "keys": list(keys)})


READ = text("SELECT value FROM read_keys WHERE key = :key AND value = ANY(:keys)")
NOTE = text("INSERT INTO read_keys SELECT :key, value FROM unnest(CAST(:keys AS text[])) AS value")
