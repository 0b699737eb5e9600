#!/bin/sh
# Prints what docker-compose.yml needs to know, with secrets made at random. `make up` keeps it in .env, once: TOKEN_KEY
# may be replaced later, INDEX_KEY, SEAL_KEY and the keys in PII_KEYS never.
set -eu

random() { od -An -v -N "$1" -t x1 /dev/urandom | tr -d ' \n'; }
sealing_key() { printf 'k1:%s' "$(head -c 32 /dev/urandom | base64 | tr -d '\n')"; }

cat <<END
# Made by deploy/environment.sh. Keep it secret, and a copy of it safe: without the keys the data cannot be read.
POSTGRES_PASSWORD=$(random 24)
DATABASE_API_PASSWORD=$(random 24)
DATABASE_WORKER_PASSWORD=$(random 24)
VALKEY_PASSWORD=$(random 24)
TOKEN_KEY=$(random 32)
INDEX_KEY=$(random 32)
SEAL_KEY=$(random 32)
PII_KEYS=$(sealing_key)
WEBHOOK_KEYS=$(sealing_key)
FLOWER_USER=operator
FLOWER_PASSWORD=$(random 24)
GRAFANA_PASSWORD=$(random 24)

HTTP_ADDRESS=127.0.0.1
HTTP_PORT=8080
PROMETHEUS_PORT=9090
GRAFANA_PORT=3000
JAEGER_PORT=16686
END
