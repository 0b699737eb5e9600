"""What the audit asks of bulk transfers: that the rows posted for a job are the items that its result names."""

APPLIED_ONCE = """
    SELECT coalesce('jobs ' || jobs.id, 'transactions of ' || posted.job_id) AS row,
           coalesce(jobs.state || ', but its items say otherwise', 'posted, but no bulk asked for it') AS message
      FROM (SELECT id, state, result,
                   ARRAY(SELECT CAST(item ->> 'transaction_id' AS uuid)
                           FROM jsonb_array_elements(CASE state WHEN 'succeeded' THEN result -> 'items' END) AS item
                          WHERE item ->> 'state' = 'succeeded' ORDER BY 1) AS named
              FROM jobs WHERE kind = 'bulk_transfer.create') AS jobs
      FULL JOIN (SELECT job_id, array_agg(id ORDER BY id) AS ids,
                        bool_and(kind = 'transfer' AND left(CAST(id AS text), 32) = left(CAST(job_id AS text), 32))
                            AS are_its_items
                   FROM transactions WHERE job_id IS NOT NULL GROUP BY job_id) AS posted ON posted.job_id = jobs.id
     WHERE jobs.id IS NULL OR NOT coalesce(are_its_items, true) OR named <> coalesce(ids, '{}')
        OR (state = 'succeeded' AND CAST(result ->> 'succeeded' AS int) IS DISTINCT FROM cardinality(named))
"""
