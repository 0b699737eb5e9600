#!/usr/bin/env bash
# Make a new server from a base backup and the archive, as the old one was at a moment, and prove its books.
#     restore.sh BACKUP ARCHIVE DATA [MOMENT]     MOMENT like 2026-11-24T10:00:00Z; without one, as late as there is
# DATA is made. Meanwhile the server runs at DATABASE_URL: name an address of this machine that no client knows. It is left
# stopped, in order; it archives nothing and waits for no standby until it is told to (ALTER SYSTEM RESET).
# CONFIG in the environment names the folder of postgresql.conf, pg_hba.conf and pg_ident.conf, where they are not in the
# data folder: for Debian's servers, /etc/postgresql/15/main or a copy of it.
# Prints one line of JSON; server.sh says what the environment must hold.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/server.sh"
backup=${1:?a base backup} archive=${2:?the archive} data=${3:?a folder that is not there yet} moment=${4:-}
recovery_seconds_max=86400
options="-p $PGPORT -c listen_addresses='$PGHOST' -c unix_socket_directories=''"
if [ -n "${CONFIG:-}" ]; then # They name folders and files of another server, which may be running.
    options+=" -c config_file='$CONFIG/postgresql.conf' -c hba_file='$CONFIG/pg_hba.conf' -c ident_file='$CONFIG/pg_ident.conf'"
    options+=" -c data_directory='$data' -c external_pid_file=''"
fi

start() {
    as_server pg_ctl --pgdata="$data" --log="$data/restore.log" --wait --timeout="$recovery_seconds_max" \
        --options="$options" start >/dev/null ||
        fail "it does not start; its log ends: $(as_server tail --lines=5 "$data/restore.log")"
}
stop() {
    as_server pg_ctl --pgdata="$data" --wait --mode=fast stop >/dev/null
}
recovered() {
    [ "$(sql 'SELECT pg_is_in_recovery()' 2>/dev/null)" = f ]
}

[[ -z $moment || $moment =~ ^[0-9T:.\ -]+([+-][0-9]{2}:[0-9]{2}|Z)$ ]] || fail "$moment is no moment with its zone: 2026-11-24T10:00:00Z"
moment=${moment/%Z/+00:00} # Before it runs, a server knows no zone by its name.
[ ! -e "$data" ] || fail "$data is there already"
[ -e "$backup/backup_label" ] || fail "$backup is no base backup"
[ -e "${CONFIG:-$backup}/postgresql.conf" ] || fail "${CONFIG:-$backup} has no postgresql.conf: CONFIG names the folder that has it"
as_server cp --archive "$backup" "$data"
as_server chmod 700 "$data"
target=${moment:+"recovery_target_time = '$moment'"}
as_server tee --append "$data/postgresql.auto.conf" >/dev/null <<END
restore_command = 'cp "$archive/%f" "%p"'
recovery_target_action = 'promote'
archive_mode = 'off'
synchronous_standby_names = ''
$target
END
as_server touch "$data/recovery.signal"
start
until recovered; do
    as_server pg_ctl --pgdata="$data" status >/dev/null ||
        fail "the archive does not reach that far; the server's log ends: $(as_server tail --lines=5 "$data/restore.log")"
    sleep 0.2
done
need_superuser
copied_at=$(as_server sed --quiet 's/^START TIME: //p' "$backup/backup_label") # What it is as of, if no commit came after.
reached=$(sql "SELECT to_char(coalesce(pg_last_xact_replay_timestamp(), CAST('$copied_at' AS timestamptz)),
                              'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
for setting in restore_command recovery_target_action recovery_target_time; do
    sql "ALTER SYSTEM RESET $setting"
done
stop
as_server "$here/raise-transaction-ids.sh" "$data"
recovered_seconds=$(elapsed)

start
audit "${moment:-$reached}"
jobs=$(sql 'SELECT count(*) FROM jobs')
timeline=$(timeline)
stop
printf '{"data":"%s","latest_commit":"%s","timeline":%s,"jobs":%s,"audit":"ok","recovered_seconds":%s,"seconds":%s}\n' \
    "$data" "$reached" "$timeline" "$jobs" "$recovered_seconds" "$(elapsed)"
