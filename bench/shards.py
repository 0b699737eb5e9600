"""A share of a filled ledger. Shares have no wallet in common, so that each is made by a process of its own."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import psycopg

import domain.wallets
from bench.lines import CURRENCY, FUNDS, Lines, Side, fund, pay

AMOUNT_MAX = 100
BALANCE_MAX = 10**15
BATCH = 500  # Movements that are posted at one moment, as by a worker, and written at once.
# Rules and references hold by construction, and the audit looks; checked row by row they take longer than all the rest.
REPLICA = "-c session_replication_role=replica -c synchronous_commit=off"
CUSTOMERS = "customers (id, full_name, email, national_id_sealed, national_id_index, password_hash)"
WALLETS = "wallets (id, number, customer_id, type, currency, balance, balance_max, sequence, seal)"
TRANSACTIONS = "transactions (id, kind, amount, currency, source_wallet_id, destination_wallet_id, posted_at, seal)"
ENTRIES = "entries (wallet_id, sequence, transaction_id, amount, balance_after, xact_id, seal)"


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    seal_key: bytes
    customers: int
    wallets: int
    transactions: int  # The first ones are the wallets' funds.
    first_number: int  # Of its wallets.
    first_entry: int  # Of the system wallet's entries.
    since: datetime
    span: timedelta
    seed: int


def make(shard: Shard) -> int:
    """Write the share; return what was paid in, minor units."""
    draw = random.Random(shard.seed)  # noqa: S311 - nobody's secret
    customers = [_id(draw, shard.since) for _ in range(shard.customers)]
    sides = [Side(id=_id(draw, shard.since)) for _ in range(shard.wallets)]
    with psycopg.connect(shard.url, options=REPLICA) as one, psycopg.connect(shard.url, options=REPLICA) as other:
        with one.cursor().copy(f"COPY {CUSTOMERS} FROM STDIN") as copy:
            copy.write("".join(f"{id_}\tC\t{id_.hex}@filled.test\t\t{id_.hex}\t\n" for id_ in customers))
        with (
            one.cursor().copy(f"COPY {TRANSACTIONS} FROM STDIN") as transactions,
            other.cursor().copy(f"COPY {ENTRIES} FROM STDIN") as entries,
        ):
            for lines in _movements(shard, sides, draw):
                transactions.write("".join(lines.transactions))
                entries.write("".join(lines.entries))
        with one.cursor().copy(f"COPY {WALLETS} FROM STDIN") as copy:
            for place, side in enumerate(sides):
                number = domain.wallets.number(shard.first_number + place)
                owner, balance = customers[place % len(customers)], f"{side.balance}\t{BALANCE_MAX}\t{side.sequence}"
                copy.write(f"{side.id}\t{number}\t{owner}\tpersonal\t{CURRENCY}\t{balance}\t\\\\x{side.seal.hex()}\n")
    return FUNDS * shard.wallets


def _movements(shard: Shard, sides: list[Side], draw: random.Random) -> Iterator[Lines]:
    """Fund each wallet once, then pay from one to another."""
    for start in range(0, shard.transactions, BATCH):
        lines = Lines(seal_key=shard.seal_key, posted_at=shard.since + shard.span * start / shard.transactions)
        for place in range(start, min(start + BATCH, shard.transactions)):
            transaction_id = _id(draw, lines.posted_at)
            if place < len(sides):
                fund(lines, sides[place], transaction_id, shard.first_entry + place)
            else:
                pay(lines, draw.sample(sides, 2), transaction_id, draw.randint(1, AMOUNT_MAX))
        yield lines


def _id(draw: random.Random, at: datetime) -> UUID:
    """Return a UUIDv7 (RFC 9562, section 5.7) of that moment."""
    milliseconds = int(at.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | draw.getrandbits(12) << 64 | 2 << 62 | draw.getrandbits(62))
