"""The jobs and events that a filled ledger came of."""

from bench.lines import FOLDED

JOBS_OF_TRANSACTIONS = """
    INSERT INTO jobs (id, kind, queue, state, caller, idempotency_key, fingerprint, payload, result, due_at, created_at,
                      finished_at)
    SELECT id, kind || '.create', 'transactions', 'succeeded',
           CASE kind WHEN 'deposit' THEN 'key:filled' ELSE 'customer:' || wallets.customer_id END, CAST(id AS text),
           uuid_send(id),
           jsonb_build_object('amount', amount, 'currency', currency, 'source_wallet_id', source_wallet_id,
                              'destination_wallet_id', destination_wallet_id),
           jsonb_build_object('transaction_id', id), posted_at, posted_at, posted_at
      FROM (SELECT * FROM transactions WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.id = transactions.id)) AS posted
      LEFT JOIN (SELECT id AS wallet_id, customer_id FROM wallets) AS wallets ON wallet_id = source_wallet_id
"""
JOBS_OF_CUSTOMERS = """
    INSERT INTO jobs (id, kind, queue, state, caller, idempotency_key, fingerprint, payload, result, due_at, created_at,
                      finished_at)
    SELECT id, 'customer.register', 'customers', 'succeeded', email, CAST(id AS text), uuid_send(id), '{}',
           jsonb_build_object('customer_id', id), created_at, created_at, created_at
      FROM customers WHERE email LIKE '%@filled.test' AND NOT EXISTS (SELECT FROM jobs WHERE jobs.id = customers.id)
"""
# As the trigger writes them, with the number of a transaction that ended before any that runs.
EVENTS = f"""
    INSERT INTO events (id, type, occurred_at, job_id, caller, xact_id)
    SELECT uuid7(finished_at, CAST(md5(CAST(id AS text)) AS uuid)), job_event_type(kind, state), finished_at, id,
           caller, {FOLDED}
      FROM jobs WHERE NOT EXISTS (SELECT FROM events WHERE job_id = jobs.id)
"""  # noqa: S608 - a constant
# Nobody had asked to be told of them.
TOLD = f"UPDATE webhook_cursor SET xact_id = {FOLDED + 1} WHERE xact_id <= {FOLDED}"  # noqa: S608 - a constant

HISTORIES = (JOBS_OF_TRANSACTIONS, JOBS_OF_CUSTOMERS, EVENTS, TOLD)
