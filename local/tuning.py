"""Settings of the embedded servers that differ from the servers' own, each with its reason."""

from local import ports

POSTGRES = {
    "listen_addresses": f"'{ports.HOST}'",
    "unix_socket_directories": "''",  # TCP with a password only: no path that is too long or too open.
    "max_connections": "120",  # API, four workers, sweeper and the tests' own use fewer than 60 together.
    "shared_buffers": "256MB",  # Holds the hot tables of the demo; small enough for a laptop.
    # Durability as in production: what was answered with 202 survives kill -9 and a power cut.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_wal_size": "2GB",  # Checkpoints by the clock, not by volume, also under the benchmark.
    # A page that is changed first after a checkpoint goes into the WAL whole. To compress it by PostgreSQL's own method
    # takes longer than to write it: with a million customers it cost 40 % of the throughput (decision 43).
    "wal_compression": "off",
    "checkpoint_completion_target": "0.9",  # Spreads the writes, so that commits do not wait for them.
    "max_parallel_workers_per_gather": "0",  # Short queries only; parallel ones need a large /dev/shm.
    # The jobs table is a queue: rows change state within seconds and dead ones pile up at its head. Often, but not in a
    # hurry: without PostgreSQL's own pauses, ten times as far apart, requests waited for a core (decision 70).
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_insert_scale_factor": "0.05",  # Keeps the visibility map fresh for index-only scans.
    "autovacuum_analyze_scale_factor": "0.02",
    # A quarter of the rows that PostgreSQL samples by itself: a table that doubles each minute is analysed every ten
    # seconds, which took a core for 0.6 s (decision 44). Lists go by indexes whose order they ask for, whatever the
    # histograms say.
    "default_statistics_target": "25",
    "log_lock_waits": "on",  # Who waited for whom, once it took longer than deadlock_timeout.
    "log_connections": "on",  # Who was here: the first question when the books are off.
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] %u '",
    "log_error_verbosity": "terse",  # Without DETAIL and CONTEXT, which quote rows: a log is no place for them.
}

REDIS = {
    "bind": ports.HOST,
    "appendonly": "yes",  # Messages survive a restart,
    "appendfsync": "everysec",  # all but the last second's, for which the sweeper rings again.
    "save": '""',  # No snapshots beside the log.
    "maxmemory-policy": "noeviction",  # A queue that forgets is worse than one that refuses.
    "daemonize": "no",
    "set-proc-title": "no",  # Stays recognisable as the child that was started.
}
