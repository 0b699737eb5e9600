"""What the audit asks of bulk transfers: that the rows posted for a job are the items that its result names.

And that each is what the job asked for: the last 16 bits of its id say which item that was. Rows are found by that id,
one item after the other: PostgreSQL does not know how many items there are, and would look at each row for each.
"""

from db.movements import POSTED, asked, named

APPLIED_ONCE = f"""
    SELECT coalesce('jobs ' || jobs.id, 'transactions of ' || posted.job_id) AS row,
           coalesce(jobs.state || ', but its items say otherwise', 'posted, but no bulk asked for it') AS message
      FROM (SELECT id, state, result,
                   ARRAY(SELECT CAST(item ->> 'transaction_id' AS uuid)
                           FROM jsonb_array_elements(CASE state WHEN 'succeeded' THEN result -> 'items' END) AS item
                          WHERE item ->> 'state' = 'succeeded' ORDER BY 1) AS named,
                   coalesce(jsonb_array_length(payload -> 'items'), 0) AS items
              FROM jobs WHERE kind = 'bulk_transfer.create') AS jobs
      FULL JOIN (SELECT job_id, array_agg(id ORDER BY id) AS ids,
                        bool_and(kind = 'transfer' AND left(CAST(id AS text), 32) = left(CAST(job_id AS text), 32))
                            AS are_its_items,
                        max(CAST(CAST('x' || right(CAST(id AS text), 4) AS bit(16)) AS int)) AS last_place
                   FROM transactions WHERE job_id IS NOT NULL GROUP BY job_id) AS posted ON posted.job_id = jobs.id
     WHERE jobs.id IS NULL OR NOT coalesce(are_its_items, true) OR last_place >= items
        OR named <> coalesce(ids, '{{}}')
        OR (state = 'succeeded' AND CAST(result ->> 'succeeded' AS int) IS DISTINCT FROM cardinality(named))
     UNION
    SELECT 'jobs ' || items.job_id, 'an item that was posted is not what it asked for'
      FROM (SELECT jobs.id AS job_id, item, place - 1 AS place
              FROM jobs, jsonb_array_elements(payload -> 'items') WITH ORDINALITY AS items (item, place)
             WHERE kind = 'bulk_transfer.create' AND state = 'succeeded') AS items
      {named("item")}
      JOIN (SELECT id, {POSTED} AS posted FROM transactions) AS posted
        ON posted.id = CAST(left(CAST(items.job_id AS text), 32) || lpad(to_hex(place), 4, '0') AS uuid)
     WHERE posted <> {asked("'transfer.create'", "item")}
"""  # noqa: S608 - constants
