"""The first dashboard: how requests, jobs and books do.

Every API process reads the same rows and says the same of them: hence `greatest`, where others would add up.
"""

from monitoring.grafana import Board, Panel, Row
from monitoring.promql import greatest, mean, per_second, quantile

TRAFFIC = Row(
    "Traffic",
    [
        Panel("Requests by status", "reqps", {"{{status}}": per_second("tekana_http_requests_total", "status")}),
        Panel(
            "Requests by route",
            "reqps",
            {"{{method}} {{route}}": f"topk(10, {per_second('tekana_http_requests_total', 'method', 'route')})"},
        ),
        Panel("Share of server errors", "percentunit", {"5xx": "tekana:http_errors:ratio_rate5m"}),
        Panel(
            "Time until a job is accepted",
            "s",
            {"median": quantile(0.5, "tekana_accept_seconds"), "p99, 5 minutes": "tekana:accept_seconds:p99_5m"},
            "Of the first request of each flush; no other one of it waits longer.",
        ),
        Panel(
            "Requests that were not accepted",
            "reqps",
            {"{{reason}}": per_second("tekana_accept_refused_total", "reason")},
            "caller_share and queue_full: a queue is under pressure. waiting: the database is behind. open_jobs: 429.",
        ),
        Panel("Jobs of a flush", "short", {"mean": mean("tekana_accept_flush_jobs")}),
        Panel(
            "Time to store a flush",
            "s",
            {
                "median": quantile(0.5, "tekana_accept_flush_seconds"),
                "p99": quantile(0.99, "tekana_accept_flush_seconds"),
            },
        ),
    ],
)
JOBS = Row(
    "Jobs",
    [
        Panel(
            "Age of the oldest queued job",
            "s",
            {"{{queue}}": "tekana:queue_oldest_job_age_seconds:max"},
            "The promise: 15 s, whatever dies. Replays, which may take long, are left out.",
        ),
        Panel("Queued jobs", "short", {"{{queue}} {{kind}}": greatest("tekana_queue_jobs", "queue", "kind")}),
        Panel(
            "From acceptance to settlement",
            "s",
            {
                "{{queue}} median": quantile(0.5, "tekana_batch_oldest_job_age_seconds", "queue"),
                "{{queue}} p99, 5 minutes": "tekana:batch_oldest_job_age_seconds:p99_5m",
            },
            "Of the oldest job of each batch.",
        ),
        Panel("Jobs that ended", "ops", {"{{kind}} {{state}}": "tekana:jobs_finished:rate5m"}),
        Panel(
            "Why jobs were rejected or failed",
            "ops",
            {"{{kind}} {{code}}": per_second('tekana_jobs_finished_total{state!="succeeded"}', "kind", "code")},
        ),
        Panel(
            "Jobs tried before, and failed for good",
            "short",
            {
                "{{kind}} tried before": greatest("tekana_queue_retried_jobs", "kind"),
                "failed, not requeued": greatest("tekana_failed_jobs"),
            },
        ),
    ],
)
SETTLING = Row(
    "Settling",
    [
        Panel("Jobs of a batch", "short", {"{{queue}}": mean("tekana_batch_jobs", "queue")}),
        Panel(
            "Time to settle a batch",
            "s",
            {
                "{{queue}} median": quantile(0.5, "tekana_batch_seconds", "queue"),
                "{{queue}} p99": quantile(0.99, "tekana_batch_seconds", "queue"),
            },
        ),
        Panel(
            "Batches that did not pass at once",
            "ops",
            {
                "{{queue}} conflict": per_second("tekana_batch_conflicts_total", "queue"),
                "{{queue}} failed": per_second("tekana_batches_failed_total", "queue"),
                "{{queue}} given up": per_second("tekana_batches_given_up_total", "queue"),
            },
        ),
    ],
)
LEDGER = Row(
    "Ledger",
    [
        Panel(
            "Trial balance",
            "none",
            {"{{currency}}": greatest("tekana_ledger_trial_balance_minor_units", "currency")},
            "All wallets of a currency together, in minor units: nothing but 0 is right.",
            "stat",
        ),
        Panel(
            "What customers hold",
            "none",
            {"{{currency}}": greatest("tekana_ledger_customer_funds_minor_units", "currency")},
            "In minor units.",
        ),
        Panel(
            "Entries that are not folded yet",
            "short",
            {"{{currency}}": greatest("tekana_ledger_unfolded_entries", "currency")},
        ),
        Panel(
            "The oldest posting outside the chain",
            "s",
            {"oldest": "max(tekana_ledger_unsealed_seconds)"},
            "Ordinary are ten seconds, or as long as the longest database transaction takes.",
        ),
    ],
)

BOARD = Board("tekana-overview", "Tekana: overview", [TRAFFIC, JOBS, SETTLING, LEDGER])
