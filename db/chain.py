"""Blocks of posted transactions: sealed by one statement, checked by another, both PostgreSQL's own SHA-256.

A block covers the transactions whose database transaction is before `before_xact_id` and not in an earlier block, in
the order of that number and their id. Block 0 covers those that were here before there was a chain. `digest` is SHA-256
(FIPS 180-4) over their seals; `head` is SHA-256 over the head before it, this block's number, bound, and count of
transactions up to its end (big-endian, eight bytes each), and its digest.

A transaction's seal stands for all that it says, and its two entries are what it says (I3). Their order in a wallet is
sealed by the wallet's own chain.
"""

import msgspec
from sqlalchemy import Connection, text

from domain.chain import Block, Head

TRANSACTIONS_MAX = 100_000  # In a block, and those of one more batch: what a worker settles in 20 s.


def extend(connection: Connection) -> int:
    """Seal what was posted since the last block; return how many transactions that were.

    Only database transactions that have all ended are covered: numbers become visible out of order, those below the
    snapshot's oldest running one do not. Of two who seal at once, one waits for the other and then does nothing.
    """
    return connection.scalar(EXTEND, {"most": TRANSACTIONS_MAX}) or 0


EXTEND = text("""
    WITH last AS (SELECT number, before_xact_id, transactions, head FROM blocks ORDER BY number DESC LIMIT 1),
    bound AS (
        SELECT least(CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint),
                     (SELECT xact_id + 1 FROM transactions, last WHERE xact_id >= before_xact_id
                       ORDER BY xact_id OFFSET :most LIMIT 1)) AS xact_id
    ),
    covered AS (
        SELECT count(*) AS added, sha256(string_agg(seal, '' ORDER BY transactions.xact_id, id)) AS digest
          FROM transactions, last, bound
         WHERE transactions.xact_id >= last.before_xact_id AND transactions.xact_id < bound.xact_id
    )
    INSERT INTO blocks (number, before_xact_id, transactions, digest, head)
    SELECT number + 1, xact_id, transactions + added, digest,
           sha256(head || int8send(number + 1) || int8send(xact_id) || int8send(transactions + added) || digest)
      FROM last, bound, covered
     WHERE added > 0
        ON CONFLICT (number) DO NOTHING
    RETURNING transactions - (SELECT transactions FROM last)
""")


def latest(connection: Connection) -> Block:
    return msgspec.convert(connection.execute(LATEST).one(), Block, from_attributes=True)


LATEST = text("""
    SELECT number AS block, encode(head, 'hex') AS head, transactions, sealed_at
      FROM blocks ORDER BY number DESC LIMIT 1
""")


def holds(connection: Connection, kept: Head) -> bool:
    """Return whether the chain has the block whose head somebody kept."""
    return bool(connection.scalar(HOLDS, {"block": kept.block, "head": kept.head}))


HOLDS = text("SELECT EXISTS (SELECT FROM blocks WHERE number = :block AND head = decode(:head, 'hex'))")

# Where a block is missing, the next one's head does not follow. `place` is what the bounds say of a transaction.
BROKEN = """
    SELECT 'blocks ' || number AS row,
           CASE WHEN head <> its_head THEN 'its head does not follow from the block before it'
                WHEN added = found THEN 'its transactions are not those that were sealed'
                ELSE coalesce(found, 0) || ' transactions, not the ' || added || ' that were sealed' END AS message
      FROM (SELECT number, transactions - lag(transactions, 1, 0) OVER in_order AS added, digest, head,
                   sha256(lag(head, 1, '') OVER in_order || int8send(lag(number, 1, -1) OVER in_order + 1)
                          || int8send(before_xact_id) || int8send(transactions) || digest) AS its_head
              FROM blocks WINDOW in_order AS (ORDER BY number)) AS chained
      LEFT JOIN (SELECT place, count(*) AS found, sha256(string_agg(seal, '' ORDER BY xact_id, id)) AS its_digest
                   FROM (SELECT seal, id, xact_id,
                                width_bucket(coalesce(xact_id, 0),
                                             ARRAY(SELECT before_xact_id FROM blocks ORDER BY number)) AS place
                           FROM transactions) AS placed
                  GROUP BY place) AS counted ON place = number
     WHERE head <> its_head OR digest <> coalesce(its_digest, sha256('')) OR added <> coalesce(found, 0)
     ORDER BY number
"""
