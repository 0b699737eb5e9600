#!/usr/bin/env bash
# Copy a running server, check the copy byte by byte, and see that the archive goes on from there.
#     base-backup.sh BACKUPS
# Prints one line of JSON; server.sh says what the environment must hold.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/server.sh"
backups=${1:?the folder of backups}
archived_seconds_max=120

need_superuser
[ "$(sql 'SHOW archive_mode')" != off ] || fail "archive_mode is off: a copy without the archive is a moment, not a history"
backup=$backups/$(date --utc +%Y%m%dT%H%M%SZ)
as_server pg_basebackup --pgdata="$backup.unfinished" --checkpoint=fast --wal-method=stream \
    --manifest-checksums=SHA256 --no-password >&2
as_server pg_verifybackup --quiet "$backup.unfinished" >&2
as_server mv "$backup.unfinished" "$backup"

sql "SELECT pg_create_restore_point('$(basename "$backup")')" >/dev/null # On an idle server there is nothing to archive.
segment=$(sql 'SELECT pg_walfile_name(pg_switch_wal())')
wait_until "$archived_seconds_max" "SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver" \
    "the archive has not got $segment: see pg_stat_archiver and the server's log"
audit "$(sql 'SELECT now()')"
printf '{"backup":"%s","bytes":%s,"archived":"%s","audit":"ok","seconds":%s}\n' \
    "$backup" "$(du --summarize --bytes "$backup" | cut -f1)" "$segment" "$(elapsed)"
