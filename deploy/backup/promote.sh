#!/usr/bin/env bash
# Make a standby the primary, and prove its books.
#     promote.sh synchronous         every confirmed commit waited for this standby: nothing is lost
#     promote.sh asynchronous DATA   the last moments may be lost: the server in DATA is restarted with higher
#                                    transaction ids, so that whoever reads events misses none that is new
# The old primary must be down for good before. PG_STOP and PG_START replace pg_ctl where a service manager starts the server (`systemctl stop postgresql`).
# Prints one line of JSON; server.sh says what the environment must hold: DATABASE_URL is the standby's.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/server.sh"
kind=${1:?synchronous or asynchronous} data=${2:-}
# Above wal_receiver_timeout, a minute: then a primary that says nothing counts as gone.
fenced_seconds_max=${FENCED_SECONDS_MAX:-70}
promotion_seconds_max=60

stop() {
    if [ -n "${PG_STOP:-}" ]; then bash -c "$PG_STOP"; else as_server pg_ctl --pgdata="$data" --wait --mode=fast stop; fi >&2
}
start() {
    if [ -n "${PG_START:-}" ]; then bash -c "$PG_START"; else
        as_server pg_ctl --pgdata="$data" --wait --log="$data/promote.log" --options="$1" start
    fi >&2
}

case $kind in
    synchronous) ;;
    asynchronous) [ -n "$data" ] || fail "an asynchronous standby is restarted: name its data folder" ;;
    *) fail "a standby is synchronous or asynchronous, not $kind" ;;
esac
need_superuser
[ "$(sql 'SELECT pg_is_in_recovery()')" = t ] || fail "$PGHOST:$PGPORT is no standby"
# A state that is not shown, or another one than streaming, is of a receiver that has a connection to somebody.
wait_until "$fenced_seconds_max" "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status IS DISTINCT FROM 'stopped')" \
    "the primary still sends: stop it first, for good, or two servers will take money"
reached=$(sql "SELECT to_char(coalesce(pg_last_xact_replay_timestamp(), now()), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
[ "$(sql "SELECT pg_promote(true, $promotion_seconds_max)")" = t ] ||
    fail "it was not promoted within $promotion_seconds_max s: see its log"
if [ "$kind" = asynchronous ]; then
    options=$(as_server cut --delimiter=' ' --fields=2- "$data/postmaster.opts")
    stop
    as_server "$here/raise-transaction-ids.sh" "$data"
    start "$options"
fi
promoted_seconds=$(elapsed)

if [ "$(sql "SELECT current_setting('synchronous_standby_names') <> '' AND NOT EXISTS
                    (SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))")" = t ]; then
    echo "promote.sh: commits wait for a standby: connect one, or ALTER SYSTEM SET synchronous_standby_names = ''" >&2
fi
audit "$reached"
printf '{"primary":"%s:%s","latest_commit":"%s","timeline":%s,"audit":"ok","promoted_seconds":%s,"seconds":%s}\n' \
    "$PGHOST" "$PGPORT" "$reached" "$(timeline)" "$promoted_seconds" "$(elapsed)"
