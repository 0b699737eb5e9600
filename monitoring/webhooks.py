"""The dashboard of webhooks."""

from monitoring.grafana import Board, Panel, Row
from monitoring.promql import greatest, per_second

DELIVERIES = Row(
    "Deliveries",
    [
        Panel("Attempts", "ops", {"{{outcome}}": "tekana:webhook_attempts:rate5m"}),
        Panel(
            "Share of attempts that succeed",
            "percentunit",
            {
                "succeeded": 'sum(tekana:webhook_attempts:rate5m{outcome="succeeded"})'
                " / sum(tekana:webhook_attempts:rate5m)"
            },
        ),
        Panel(
            "The oldest that is due",
            "s",
            {"due since": greatest("tekana_webhook_oldest_due_seconds")},
            "Of deliveries, and of events that are still to become some.",
        ),
        Panel("Endpoints", "short", {"{{state}}": greatest("tekana_webhook_endpoints", "state")}),
        Panel("Queued replays", "short", {"replays": greatest('tekana_queue_jobs{kind="webhook.replay"}')}),
        Panel(
            "Age of the oldest replay",
            "s",
            {"accepted since": greatest('tekana_queue_oldest_job_age_seconds{kind="webhook.replay"}')},
        ),
    ],
)
COURIER = Row(
    "The courier's worker",
    [
        Panel("Children", "short", {"children": 'sum(tekana_worker_children{queue="webhooks"})'}),
        Panel("Messages to it", "ops", {"messages": per_second('tekana_rings_total{queue="webhooks"}')}),
        Panel("Jobs that these announced", "ops", {"jobs": per_second('tekana_rung_jobs_total{queue="webhooks"}')}),
    ],
)

BOARD = Board("tekana-webhooks", "Tekana: webhooks", [DELIVERIES, COURIER])
