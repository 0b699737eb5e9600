-- As raise-transaction-ids.sh does, for a dump that was restored into another server, also where nobody can stop it: let
-- transactions that do nothing use up the numbers, about 250,000 a second, until the next ones are above all on record.
--     psql --file raise-transaction-ids.sql
DO $$
DECLARE
    highest CONSTANT bigint := greatest(
        (SELECT max(xact_id) FROM events), (SELECT max(xact_id) FROM entries WHERE xact_id IS NOT NULL),
        (SELECT max(xact_id) FROM transactions), (SELECT max(before_xact_id) FROM blocks),
        (SELECT max(folded_before) FROM wallets), (SELECT max(since_xact_id) FROM webhook_endpoints),
        (SELECT max(xact_id) FROM webhook_cursor));
BEGIN
    WHILE CAST(CAST(pg_current_xact_id() AS text) AS bigint) <= highest LOOP
        COMMIT;
    END LOOP;
END $$;
