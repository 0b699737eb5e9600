"""What the audit asks of movements: that what was posted is what jobs asked for, each once.

A movement has the id of the job that asked for it; those of bulks have a check of their own. The texts on both sides
are compared. Whoever posts holds the key of the seals, but cannot change what a job asked for.
"""


def asked(kind: str, payload: str) -> str:
    """Return as SQL what a payload asks for, never null; a wallet that it names by number is joined as `named`."""
    return f"""coalesce(
        {kind} || ({payload} ->> 'amount') || ({payload} ->> 'currency')
            || coalesce({payload} ->> 'source_wallet_id', '-')
            || coalesce(CAST(named.id AS text), {payload} ->> 'destination_wallet_id', '-'), 'nothing')"""


def named(payload: str) -> str:
    """Return as SQL the join of what `asked` needs."""
    return f"LEFT JOIN wallets AS named ON named.number = {payload} ->> 'destination_number'"


POSTED = """
        kind || '.create' || amount || currency || coalesce(CAST(source_wallet_id AS text), '-')
            || coalesce(CAST(destination_wallet_id AS text), '-')"""
KINDS = "'deposit.create', 'withdrawal.create', 'transfer.create'"
ASKED = f"""
    SELECT jobs.id, jobs.state, {asked("kind", "payload")} AS asked
      FROM jobs {named("payload")} WHERE kind IN ({KINDS})"""  # noqa: S608 - constants
ALONE = "job_id IS NULL AND kind <> 'opening'"
MOVED_ONCE = f"""
    (SELECT sum(uuid_hash_extended(id, hashtextextended(asked, :seed))) FROM ({ASKED}) AS jobs
      WHERE state = 'succeeded')
    IS NOT DISTINCT FROM
    (SELECT sum(uuid_hash_extended(id, hashtextextended({POSTED}, :seed))) FROM transactions WHERE {ALONE})
"""  # noqa: S608 - constants
NOT_MOVED_ONCE = f"""
    SELECT coalesce('jobs ' || jobs.id, 'transactions ' || transactions.id) AS row,
           CASE WHEN jobs.id IS NULL THEN 'posted, but no job asked for it'
                WHEN (jobs.state = 'succeeded') <> (transactions.id IS NOT NULL)
                THEN jobs.state || ', but its effect says otherwise'
                ELSE 'what was posted is not what it asked for' END AS message
      FROM ({ASKED}) AS jobs
      FULL JOIN (SELECT id, {POSTED} AS posted FROM transactions WHERE {ALONE}) AS transactions
        ON transactions.id = jobs.id
     WHERE jobs.id IS NULL OR (jobs.state = 'succeeded') <> (transactions.id IS NOT NULL)
        OR (transactions.id IS NOT NULL AND asked <> posted)
"""  # noqa: S608 - constants
