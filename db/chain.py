"""Blocks of posted transactions: sealed by one statement, checked by another, both PostgreSQL's own SHA-256.

A block covers the transactions whose place is before `before_xact_id` and not in an earlier block, in the order of
place and id. A place is the number of the database transaction. Those that were here before there was a chain have
none: theirs is below zero, the milliseconds of their id less 2^48. `digest` is SHA-256 (FIPS 180-4) over their seals;
`head` is SHA-256 over the head before it, this block's number, bound, and count of transactions up to its end
(big-endian, eight bytes each), and its digest.

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
    most = {"most": TRANSACTIONS_MAX}
    return connection.scalar(EXTEND_EARLIER, most) or connection.scalar(EXTEND, most) or 0


EARLIEST = "-CAST(2 ^ 48 AS bigint)"  # The place of the smallest id.
PLACE = f"""
    coalesce(xact_id, CAST(CAST('x' || left(translate(CAST(id AS text), '-', ''), 12) AS bit(48)) AS bigint)
                      + {EARLIEST})
"""
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


def _first_id(place: str) -> str:
    """Return the smallest id at a place below zero: so a block is found by the primary key."""
    digits = f"lpad(to_hex({place} - ({EARLIEST})), 12, '0') || repeat('0', 20)"
    return f"CASE WHEN {place} < 0 THEN CAST({digits} AS uuid) ELSE '{LAST_ID}' END"


EXTENDING = """
    WITH last AS MATERIALIZED (
        SELECT * FROM (SELECT number, before_xact_id, transactions, head FROM blocks ORDER BY number DESC LIMIT 1)
            AS newest WHERE {phase}
    ),
    bound AS MATERIALIZED ({bound}),
    covered AS (
        SELECT count(*) AS added, sha256(string_agg(seal, '' ORDER BY transactions.xact_id, id)) AS digest
          FROM transactions, last, bound WHERE {covered}
    )
    INSERT INTO blocks (number, before_xact_id, transactions, digest, head)
    SELECT number + 1, bound.xact_id, transactions + added, digest,
           sha256(head || int8send(number + 1) || int8send(bound.xact_id) || int8send(transactions + added) || digest)
      FROM last, bound, covered
     WHERE added > 0
        ON CONFLICT (number) DO NOTHING
    RETURNING transactions - (SELECT transactions FROM last)
"""
EXTEND = text(
    EXTENDING.format(
        phase="before_xact_id > 0",
        bound="""
        SELECT least(CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint),
                     (SELECT xact_id + 1 FROM transactions WHERE xact_id >= (SELECT before_xact_id FROM last)
                       ORDER BY xact_id OFFSET :most LIMIT 1)) AS xact_id""",
        covered="transactions.xact_id >= last.before_xact_id AND transactions.xact_id < bound.xact_id",
    )
)
EXTEND_EARLIER = text(
    EXTENDING.format(
        phase="before_xact_id < 0",
        # The place that comes next: where none does, what was here before is done, and the next block begins at 1.
        bound=f"""
        SELECT coalesce((SELECT following.place
                           FROM (SELECT {PLACE} AS place FROM transactions
                                  WHERE xact_id IS NULL AND id >= (SELECT {_first_id("before_xact_id")} FROM last)
                                  ORDER BY id OFFSET :most LIMIT 1) AS latest,
                                LATERAL (SELECT {PLACE} AS place FROM transactions
                                          WHERE xact_id IS NULL AND id >= {_first_id("(latest.place + 1)")}
                                          ORDER BY id LIMIT 1) AS following), 1) AS xact_id""",  # noqa: S608 - constants
        covered=f"""
               transactions.xact_id IS NULL AND id >= (SELECT {_first_id("before_xact_id")} FROM last)
           AND id < (SELECT {_first_id("xact_id")} FROM bound)""",  # noqa: S608 - constants
    )
)


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

# Where a block is missing, the next one does not follow, whatever its head.
BROKEN = f"""
    SELECT 'blocks ' || number AS row,
           CASE WHEN head <> its_head OR number <> its_number THEN 'its head does not follow from the block before it'
                WHEN added = found THEN 'its transactions are not those that were sealed'
                ELSE found || ' transactions, not the ' || added || ' that were sealed' END AS message
      FROM (SELECT number, transactions - lag(transactions, 1, 0) OVER in_order AS added, digest, head,
                   lag(before_xact_id, 1, {EARLIEST}) OVER in_order AS since_xact_id, before_xact_id,
                   lag(number, 1, -1) OVER in_order + 1 AS its_number,
                   sha256(lag(head, 1, '') OVER in_order || int8send(number)
                          || int8send(before_xact_id) || int8send(transactions) || digest) AS its_head
              FROM blocks WINDOW in_order AS (ORDER BY number)) AS chained,
           LATERAL (SELECT count(*) AS found,
                           sha256(coalesce(string_agg(seal, '' ORDER BY xact_id, id), '')) AS its_digest
                      FROM transactions
                     WHERE (xact_id >= since_xact_id AND xact_id < before_xact_id)
                        OR (xact_id IS NULL AND id >= {_first_id("since_xact_id")}
                                            AND id < {_first_id("before_xact_id")})) AS covered
     WHERE head <> its_head OR number <> its_number OR digest <> its_digest OR added <> found
     ORDER BY number
"""  # noqa: S608 - constants
