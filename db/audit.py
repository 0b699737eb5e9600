"""The audit: every promise about jobs and money, checked against the rows themselves.

Each check returns the rows that break it; none is the proof. All of them read one snapshot, so an
audit may run while money moves.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import msgspec
from sqlalchemy import Connection, create_engine, text

import db.bulk_transfers
import db.chain
import db.ledger
import db.movements
from db import parts
from db.engine import connect_args
from db.ledger import Rule
from domain.chain import Head
from domain.states import KINDS

FINDINGS_MAX = 100  # A check; whoever has that many knows enough to begin.


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A row that breaks an invariant."""

    invariant: str
    row: str
    message: str


def verify(
    database_url: str, seal_key: bytes, as_of: datetime | None = None, heads: Sequence[Head] = ()
) -> Iterator[tuple[str, list[Finding]]]:
    """Run each check on one snapshot; yield its name and what it found.

    `heads` of the ledger's chain were kept elsewhere, and must still be in it.

    `as_of` is the moment at which nothing may have been late; None: now. A database that was set back to a moment
    holds jobs that waited then, and nobody could settle them since.
    """
    engine = create_engine(database_url, isolation_level="REPEATABLE READ", connect_args=connect_args())
    with engine.begin() as connection:
        moment = as_of or connection.scalar(text("SELECT now()"))
        parts.expect_whole_tables(connection)
        connection.execute(AS_OF, {"moment": moment.isoformat()})
        yield KEPT, [_lost(kept) for kept in heads if not db.chain.holds(connection, kept)]
        if parts.rows_about(connection, "entries") <= parts.ALONE_MAX:
            yield from in_turn(connection, seal_key)
        else:
            yield from _side_by_side(connection, seal_key, moment)
    engine.dispose()


KEPT = "I8 heads that were kept are in the chain"


def _lost(kept: Head) -> Finding:
    return Finding(invariant=KEPT, row=f"blocks {kept.block}", message=f"its head is not {kept.head}")


def in_turn(connection: Connection, seal_key: bytes) -> Iterator[tuple[str, list[Finding]]]:
    """Run each check in the transaction of `connection`; yield its name and what it found."""
    read = _of_ledger(connection, seal_key)
    for name, check in CHECKS.items():
        yield name, read[name] if isinstance(check, Rule) else check(connection, name)


def _side_by_side(connection: Connection, seal_key: bytes, moment: datetime) -> Iterator[tuple[str, list[Finding]]]:
    """Run as many queries at a time as there are cores, while other processes read the ledger.

    A thread is enough for a query, since the server does the work. All share `moment`: a later transaction's now()
    would find late what was not late in the snapshot.
    """
    snapshot = parts.export(connection)

    def run(name: str, check: Query) -> list[Finding]:
        with parts.beside(connection.engine, snapshot) as beside:
            beside.execute(AS_OF, {"moment": moment.isoformat()})
            return check(beside, name)

    threads = ThreadPoolExecutor(1 + (os.cpu_count() or 1))
    try:
        read = threads.submit(_of_ledger, connection, seal_key)
        running = {
            name: threads.submit(run, name, check) for name, check in CHECKS.items() if not isinstance(check, Rule)
        }
        for name in CHECKS:
            yield name, running[name].result() if name in running else read.result()[name]
    finally:
        threads.shutdown(cancel_futures=True)  # Who stops, or hears of an error, waits for those that run.


def _of_ledger(connection: Connection, seal_key: bytes) -> dict[str, list[Finding]]:
    """Return what breaks a rule of the ledger, by the name of the check."""
    found: dict[str, list[Finding]] = {name: [] for name, check in CHECKS.items() if isinstance(check, Rule)}
    names = {check: name for name, check in CHECKS.items() if isinstance(check, Rule)}
    for one in db.ledger.broken(connection, seal_key, FINDINGS_MAX):
        name = names[one.rule]
        found[name].append(Finding(invariant=name, row=one.row, message=one.message))
    return {name: findings[:FINDINGS_MAX] for name, findings in found.items()}


Query = Callable[[Connection, str], list[Finding]]


def _rows(query: str) -> Query:
    """Return a check that finds the rows of `query`: their `row` and `message`.

    Materialized: planned for a hundred rows, it would read by indexes, in the order of ids, and mostly find none.
    """
    statement = text(f"WITH broken AS MATERIALIZED ({query}) SELECT * FROM broken LIMIT {FINDINGS_MAX}")  # noqa: S608 - constants

    def check(connection: Connection, name: str) -> list[Finding]:
        rows = connection.execute(statement)
        return [Finding(invariant=name, row=str(row.row), message=row.message) for row in rows]

    return check


def _rows_unless(same: str, query: str) -> Query:
    """Return a check that looks for the rows of `query` only where `same` says that there may be some.

    `same` compares sums of hashes of two sets of rows, which takes no join and no sort. PostgreSQL's hashes are no
    cryptographic ones: with a `:seed` of chance they find what an accident did. For what somebody forged there are
    seals and the chain.
    """
    statement, look = text(f"SELECT {same}"), _rows(query)

    def check(connection: Connection, name: str) -> list[Finding]:
        is_same = connection.scalar(statement, {"seed": secrets.randbits(SEED_BITS)})
        return [] if is_same else look(connection, name)

    return check


SEED_BITS = 63  # Of a bigint that is not negative.


AS_OF = text("SELECT set_config('tekana.as_of', :moment, true)")
MOMENT = "coalesce(CAST(nullif(current_setting('tekana.as_of', true), '') AS timestamptz), now())"
JOBS_END = f"""
    SELECT 'jobs ' || id AS row, 'queued, and due since ' || due_at AS message
      FROM jobs WHERE state = 'queued' AND due_at < {MOMENT} - interval '60 seconds'
"""  # noqa: S608 - a constant
# What a registration asked for is emptied: of the wallet that it opened, its result is left.
NOT_OPENED_ONCE = """
    SELECT 'jobs ' || jobs.id AS row,
           CASE WHEN jobs.state = 'succeeded' AND wallets.id IS NOT NULL THEN 'its wallet is not the one it asked for'
                ELSE jobs.state || ', but its effect says otherwise' END AS message
      FROM (SELECT id, state, kind,
                   CASE kind WHEN 'wallet.open' THEN id ELSE CAST(result ->> 'wallet_id' AS uuid) END AS wallet_id,
                   CASE kind WHEN 'wallet.open' THEN payload ->> 'customer_id' ELSE CAST(id AS text) END AS owner,
                   coalesce(result ->> 'number', result ->> 'wallet_number') AS number,
                   payload ->> 'currency' AS currency, payload ->> 'type' AS type
              FROM jobs WHERE kind IN ('customer.register', 'wallet.open')) AS jobs
      LEFT JOIN customers ON customers.id = jobs.id
      LEFT JOIN wallets ON wallets.id = wallet_id
     WHERE (jobs.state = 'succeeded') <> CASE jobs.kind WHEN 'wallet.open' THEN wallets.id IS NOT NULL
                                                   ELSE customers.id IS NOT NULL END
        OR (jobs.state = 'succeeded' AND wallet_id IS NOT NULL
            AND (wallets.id IS NULL OR CAST(wallets.customer_id AS text) IS DISTINCT FROM owner
                 OR wallets.number IS DISTINCT FROM jobs.number
                 OR (jobs.kind = 'wallet.open' AND (wallets.currency IS DISTINCT FROM jobs.currency
                                                    OR wallets.type IS DISTINCT FROM jobs.type))))
     UNION ALL
    SELECT 'transactions ' || transactions.id, 'opens a wallet that was not imported'
      FROM transactions LEFT JOIN legacy_ids ON legacy_ids.id = destination_wallet_id
     WHERE transactions.kind = 'opening' AND legacy_ids.kind IS DISTINCT FROM 'wallet'
"""
CHANGES = ", ".join(f"'{kind}'" for kind in KINDS)  # Of states.
ACTIONS = f"""
    SELECT coalesce('operator_actions ' || done.id, 'jobs ' || jobs.id) AS row,
           CASE WHEN jobs.id IS NULL THEN 'no job asked for it'
                WHEN done.id IS NULL THEN jobs.kind || ' ' || jobs.state || ', but no action was recorded'
                ELSE 'not what its job did' END AS message
      FROM (SELECT id, kind, state, caller, payload FROM jobs WHERE kind IN ({CHANGES})) AS jobs
      FULL JOIN (SELECT * FROM operator_actions WHERE job_id IS NOT NULL OR action IN ({CHANGES})) AS done
        ON done.job_id = jobs.id
     WHERE jobs.id IS NULL OR (jobs.state = 'succeeded') <> (done.id IS NOT NULL) OR done.action <> jobs.kind
        OR done.actor <> jobs.caller OR done.object <> jobs.payload ->> 'id'
"""  # noqa: S608 - constants
BOUNDS = """
    SELECT 'wallets ' || id AS row,
           'balance ' || balance || ' is out of bounds, ' || balance_min || ' to ' || balance_max AS message
      FROM wallets
     WHERE balance NOT BETWEEN balance_min AND balance_max OR held < 0 OR balance - held < balance_min
        OR (customer_id IS NOT NULL AND balance_min <> 0)
        OR (state = 'closed' AND (balance <> 0 OR held <> 0))
"""
STATES = """
    SELECT 'wallets ' || wallets.id AS row,
           wallets.state || CASE WHEN frozen_alone THEN ' alone' ELSE '' END || ', and its customer is '
               || customers.state AS message
      FROM wallets JOIN customers ON customers.id = wallets.customer_id
     WHERE CASE WHEN wallets.state = 'closed' THEN frozen_alone
                WHEN customers.state = 'frozen' THEN wallets.state <> 'frozen'
                ELSE customers.state = 'closed' OR (wallets.state = 'frozen') <> frozen_alone END
"""
# The latest change is the one whose job ended last: that moment is the database's, while the row was locked. A wallet
# that is frozen with its customer is as it was changed itself; one that was imported may have been frozen elsewhere.
EXPLAINED = f"""
    SELECT noun || 's ' || id AS row,
           coalesce(stands.state, 'open') || ', but what was done last left it ' || coalesce(done.state, 'open')
               AS message
      FROM (SELECT 'wallet' AS noun, CAST(id AS text) AS id, state FROM wallets
             WHERE customer_id IS NOT NULL AND (state = 'closed' OR frozen_alone)
             UNION ALL
            SELECT 'customer', CAST(id AS text), state FROM customers WHERE state <> 'open') AS stands
      FULL JOIN (SELECT DISTINCT ON (noun, id) noun, id, details ->> 'state' AS state
                   FROM (SELECT split_part(action, '.', 1) AS noun, object AS id, details, finished_at
                           FROM operator_actions JOIN jobs ON jobs.id = job_id
                          WHERE action IN ({CHANGES})) AS changes
                  ORDER BY noun, id, finished_at DESC) AS done USING (noun, id)
     WHERE coalesce(stands.state, 'open') <> coalesce(done.state, 'open')
       AND (done.state IS NOT NULL OR NOT EXISTS (SELECT FROM legacy_ids WHERE CAST(legacy_ids.id AS text) = stands.id))
"""  # noqa: S608 - constants
MONEY_PER_CURRENCY = """
    SELECT 'currency ' || currency AS row,
           'customers hold ' || held || ', openings and deposits minus withdrawals are ' || moved AS message
      FROM (SELECT currency, sum(balance) AS held FROM wallets WHERE customer_id IS NOT NULL GROUP BY currency) AS books
      FULL JOIN (SELECT currency, sum(CASE kind WHEN 'withdrawal' THEN -amount WHEN 'transfer' THEN 0 ELSE amount END)
                        AS moved FROM transactions GROUP BY currency) AS flows USING (currency)
     WHERE coalesce(held, 0) <> coalesce(moved, 0)
"""
RESULTS = f"""
    SELECT 'jobs ' || id AS row, 'its result names another object' AS message
      FROM jobs
     WHERE state = 'succeeded' AND kind NOT IN ('webhook.replay', 'bulk_transfer.create', {CHANGES})
       AND result ->> (CASE kind WHEN 'customer.register' THEN 'customer_id' WHEN 'wallet.open' THEN 'wallet_id'
                                 ELSE 'transaction_id' END) IS DISTINCT FROM CAST(id AS text)
"""  # noqa: S608 - constants
LEASES = f"""
    SELECT 'leases ' || id AS row, 'taken at ' || taken_at || ' and not returned' AS message
      FROM leases WHERE taken_at < {MOMENT} - interval '60 seconds'
"""  # noqa: S608 - a constant

# Jobs that ended before there were events have none; one that was requeued has several, and two the registration that
# opened a wallet.
TOLD = """
    (SELECT sum(told) + coalesce(sum(told) FILTER (WHERE kind = 'customer.register' AND result ? 'wallet_id'), 0)
       FROM (SELECT uuid_hash_extended(id, timestamptz_hash_extended(finished_at, :seed)) AS told, kind, result
               FROM jobs
              WHERE state <> 'queued' AND finished_at >= (SELECT min(occurred_at) FROM events)) AS ended)
    IS NOT DISTINCT FROM
    (SELECT sum(uuid_hash_extended(job_id, timestamptz_hash_extended(occurred_at, :seed))) FROM events
      WHERE job_id IS NOT NULL)
"""
NOT_TOLD = """
    SELECT 'jobs ' || jobs.id AS row, state || ' since ' || finished_at || ', and no event tells of it' AS message
      FROM jobs
      LEFT JOIN events ON events.job_id = jobs.id AND events.occurred_at = jobs.finished_at
     WHERE state <> 'queued' AND events.id IS NULL AND finished_at >= (SELECT min(occurred_at) FROM events)
"""

# Another server gives out lower numbers: then events wait to be told, and system wallets to be folded (decision 21).
TRANSACTION_IDS = """
    SELECT place AS row, 'transaction ' || highest || ' is not of this server, whose next is ' || next AS message
      FROM (SELECT 'events' AS place, max(xact_id) AS highest FROM events
             UNION ALL SELECT 'entries', max(xact_id) FROM entries WHERE xact_id IS NOT NULL
             UNION ALL SELECT 'transactions', max(xact_id) FROM transactions WHERE xact_id IS NOT NULL
             UNION ALL SELECT 'blocks', max(before_xact_id) FROM blocks
             UNION ALL SELECT 'wallets', max(folded_before) FROM wallets
             UNION ALL SELECT 'webhook_endpoints', max(since_xact_id) FROM webhook_endpoints
             UNION ALL SELECT 'webhook_cursor', max(xact_id) FROM webhook_cursor) AS known,
           CAST(CAST(greatest(pg_snapshot_xmax(pg_current_snapshot()), pg_current_xact_id_if_assigned()) AS text)
                AS bigint) AS next
     WHERE highest > next
"""


CHECKS: Mapping[str, Query | Rule] = {
    "I1 every job ends": _rows(JOBS_END),
    "I2 each movement is what its job asked for, once": _rows_unless(
        db.movements.MOVED_ONCE, db.movements.NOT_MOVED_ONCE
    ),
    "I2 each item of a bulk is, too": _rows(db.bulk_transfers.APPLIED_ONCE),
    "I2 what jobs opened is there, as they asked": _rows(NOT_OPENED_ONCE),
    "I2 what operators changed is recorded": _rows(ACTIONS),
    "I3 entries are what transactions say": Rule.SIDES,
    "I3 entries are in wallets of their currency": Rule.WALLET,
    "I3 opening balances come first": Rule.OPENING,
    "I4 balances are the sums of entries": Rule.BALANCE,
    "I4 running balances": Rule.RUNNING_BALANCE,
    "I5 balances are within bounds": _rows(BOUNDS),
    "I5 states of wallets agree with their customers'": _rows(STATES),
    "I5 states are what operators changed them to": _rows(EXPLAINED),
    "I6 money is deposits minus withdrawals": _rows(MONEY_PER_CURRENCY),
    "I7 results name what was done": _rows(RESULTS),
    "I8 seals verify": Rule.SEAL,
    "I8 the chain holds": _rows(db.chain.BROKEN),
    "I9 every job's end is an event": _rows_unless(TOLD, NOT_TOLD),
    "I10 no lease is overdue": _rows(LEASES),
    "I11 transactions are of this server": _rows(TRANSACTION_IDS),
}
