#!/usr/bin/env bash
# Let a stopped server number its next transactions above all that an earlier life of it gave out.
#     raise-transaction-ids.sh DATA
# Events are told in the order of transactions, and readers remember up to where they have read. A server that was set
# back would give out the same numbers again, and readers would pass over what is new. The upper half of a number, the
# epoch, is raised for such cases (pg_resetwal, --epoch); what is stored does not change, but the log begins anew: the
# server needs a new base backup and new replicas.
set -euo pipefail
[ -z "${PG_BIN:-}" ] || PATH=$PG_BIN:$PATH
data=${1:?the data folder of a stopped server}

state=$(pg_controldata "$data" | sed -n 's/^Database cluster state: *//p')
if [ "$state" != "shut down" ]; then
    echo "raise-transaction-ids.sh: $data is not a server that was stopped in order: $state" >&2
    exit 1
fi
epoch=$(pg_controldata "$data" | sed -n "s/^Latest checkpoint's NextXID: *\([0-9]*\):.*/\1/p")
pg_resetwal --epoch=$((epoch + 1)) --pgdata="$data" >&2
