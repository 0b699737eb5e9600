"""The dashboard of processes and of the database as they see it."""

from monitoring.grafana import Board, Panel, Row
from monitoring.promql import per_second, quantile

OURS = '{job=~"tekana-.+"}'

RUNNING = Row(
    "Processes",
    [
        Panel("Processes that answer", "short", {"{{job}}": f"sum by (job) (up{OURS})"}),
        Panel("Pool children", "short", {"{{queue}}": "sum by (queue) (tekana_worker_children)"}),
        Panel("Releases", "short", {"{{job}} {{version}}": "count by (job, version) (tekana_build_info)"}),
        Panel(
            "CPU",
            "percentunit",
            {"{{job}} {{instance}}": f"rate(process_cpu_seconds_total{OURS}[$__rate_interval])"},
            "Of one core. Of a worker: its parent.",
        ),
        Panel(
            "CPU of pool children",
            "percentunit",
            {"{{instance}} {{pid}}": "rate(tekana_worker_child_cpu_seconds_total[$__rate_interval])"},
        ),
        Panel(
            "Open files and connections",
            "percentunit",
            {"{{job}} {{instance}}": f"process_open_fds{OURS} / process_max_fds{OURS}"},
        ),
        Panel("Memory", "bytes", {"{{job}} {{instance}}": f"process_resident_memory_bytes{OURS}"}),
        Panel(
            "Memory of pool children",
            "bytes",
            {"{{instance}} {{pid}}": "tekana_worker_child_resident_memory_bytes"},
            "At 400 MB a child is replaced, between two tasks.",
        ),
        Panel("Housekeeping", "ops", {"{{task}}": "sum by (task) (rate(tekana_maintenance_runs_total[10m]))"}),
    ],
)
SWEEPING = Row(
    "Sweeper and bell",
    [
        Panel("Sweeps", "ops", {"{{result}}": per_second("tekana_sweeps_total", "result")}),
        Panel("Time of a sweep", "s", {"p99": quantile(0.99, "tekana_sweep_seconds")}),
        Panel(
            "What the sweeper did",
            "ops",
            {
                "batches freed": per_second("tekana_interrupted_batches_total"),
                "queues rung for": per_second("tekana_sweeper_rings_total"),
                "jobs settled": per_second("tekana_sweeper_settled_jobs_total"),
            },
        ),
        Panel("Attempts counted", "ops", {"{{kind}}": per_second("tekana_job_attempts_counted_total", "kind")}),
        Panel("Messages", "ops", {"{{queue}}": per_second("tekana_rings_total", "queue")}),
        Panel(
            "Messages that the broker did not take", "ops", {"{{job}}": per_second("tekana_rings_failed_total", "job")}
        ),
    ],
)
DATABASE = Row(
    "Database, as the API sees it",
    [
        Panel("Does it answer", "none", {"{{instance}}": "min by (instance) (tekana_database_up)"}, kind="stat"),
        Panel(
            "Connections",
            "short",
            {
                "{{instance}} in use": "tekana_database_connections_in_use",
                "{{instance}} waited for": "tekana_database_connections_waiting",
                "{{instance}} at most": "tekana_database_connections_max",
            },
        ),
        Panel(
            "Requests that wait for a flush, and flushes that fail",
            "short",
            {
                "waiting": "sum(tekana_accept_waiting_requests)",
                "failed, a second": per_second("tekana_accept_flushes_failed_total"),
            },
        ),
    ],
)

BOARD = Board("tekana-processes", "Tekana: processes and database", [RUNNING, SWEEPING, DATABASE])
