# Sourced by the scripts beside it: how they reach a server. The environment says
#   DATABASE_URL   the server, as a superuser, such as Compose's owner of the schema:
#                  postgresql+psycopg://user:password@host:port/database
#   SEAL_KEY       what `tekana audit verify` needs (or SEAL_KEY_FILE)
#   TEKANA         the command, if it is not on PATH
#   PG_BIN         the folder of PostgreSQL's programs, if they are not on PATH
#   PG_USER        for root: whom PostgreSQL runs as
# shellcheck shell=bash disable=SC2034
began=$EPOCHREALTIME
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
[ -z "${PG_BIN:-}" ] || PATH=$PG_BIN:$PATH

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# Run a program of PostgreSQL's, in a folder that its user can be in.
as_server() (
    cd /
    if [ -n "${PG_USER:-}" ]; then exec runuser -u "$PG_USER" -- env PATH="$PATH" "$@"; else exec "$@"; fi
)

sql() {
    psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --command "$1"
}

# Wait until a question has the answer `t`: wait_until SECONDS QUESTION COMPLAINT
wait_until() {
    local deadline=$((SECONDS + $1))
    until [ "$(sql "$2")" = t ]; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$3"
        sleep 0.2
    done
}

# Nobody else copies servers, changes their settings, and sees whether a primary sends.
need_superuser() {
    [ "$(sql 'SHOW is_superuser')" = on ] || fail "$PGUSER is no superuser: DATABASE_URL must name one"
}

# The number of the server's history: each promotion begins another one.
timeline() {
    sql "SELECT CAST(CAST('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8) AS bit(32)) AS int)"
}

# Check I1 to I11 on one snapshot, as of the moment given: what waited then has not been late since.
audit() {
    "${TEKANA:-tekana}" audit verify --as-of "$1" >&2
}

elapsed() {
    awk -v began="$began" -v now="$EPOCHREALTIME" 'BEGIN { printf "%.1f", now - began }'
}

# The password reaches libpq by the environment: arguments are everybody's to read.
decoded() {
    printf '%b' "${1//%/\\x}"
}
address='^postgres(ql)?(\+psycopg)?://([^:@/]+):([^@]*)@([^:@/,]+)(:([0-9]+))?/([^?]+)$'
[[ ${DATABASE_URL:-} =~ $address ]] || fail "DATABASE_URL is not postgresql+psycopg://user:password@host:port/database"
PGUSER=$(decoded "${BASH_REMATCH[3]}") PGPASSWORD=$(decoded "${BASH_REMATCH[4]}") PGHOST=${BASH_REMATCH[5]}
PGPORT=${BASH_REMATCH[7]:-5432} PGDATABASE=${BASH_REMATCH[8]} PGTZ=UTC
export PGUSER PGPASSWORD PGHOST PGPORT PGDATABASE PGTZ
