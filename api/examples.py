"""An example of every operation, from one story.

The answers are the structs that the handlers return, so an example cannot show a field that does not exist.
"""

from typing import Any

import msgspec

from api import story
from api.events import Feed, describe
from api.health import Health
from api.pages import Page
from api.sessions import Tokens
from api.story import (
    BULK,
    CANCELED,
    CURSOR,
    CUSTOMER,
    DELIVERY,
    DEPOSIT,
    EMAIL,
    ENDPOINT,
    ENTRIES,
    OPENING,
    PASSWORD,
    RECEIVER_NUMBER,
    REFRESH_TOKEN,
    REGISTRATION,
    REPLAY,
    TOKEN,
    TRANSACTION,
    TRANSFER,
    WALLET,
    WALLET_ID,
    WITHDRAWAL,
    queued,
)
from domain.events import EventType
from domain.webhooks import CreatedWebhookEndpoint, RotatedSecret


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says, and what it reads: of a job's POST, the job once it has finished."""

    request: dict[str, Any] | None = None
    answer: Any = None


TOKENS = Tokens(access_token=TOKEN, token_type="Bearer", expires_in=900, refresh_token=REFRESH_TOKEN)  # noqa: S106 - examples
EVENTS = "".join(
    f"id: {job.state}\nevent: job\ndata: {msgspec.json.encode(job).decode()}\nretry: 1000\n\n"
    for job in (queued(TRANSFER), TRANSFER)
)
METRICS = 'tekana_http_requests_total{method="POST",route="/v1/transfers",status="202"} 1.0\n'

REGISTER: dict[str, Any] = {
    "full_name": "Demo Customer",
    "email": EMAIL,
    "national_id": "1199000000000001",
    "password": PASSWORD,
    "phone": "+250788000001",
    "gender": "F",
    "wallet": {"currency": "RWF", "type": "personal"},
}
REASON = {"reason": story.REASON}
MONEY_IN = {
    "wallet_id": str(WALLET_ID),
    "amount": 10_000,
    "currency": "RWF",
    "description": "Cash at the counter",
    "external_reference": "receipt-0042",
}
MONEY_OUT = MONEY_IN | {"amount": 2_000, "external_reference": "payout-0007"}
MONEY_ACROSS = {
    "source_wallet_id": str(WALLET_ID),
    "destination_number": RECEIVER_NUMBER,
    "amount": 1_500,
    "currency": "RWF",
    "description": "Lunch",
    "metadata": {"order": "A-17"},
}
MONEY_ACROSS_IN_BULK = {
    "mode": "independent",
    "items": [
        {name: MONEY_ACROSS[name] for name in ("source_wallet_id", "destination_number", "currency")}
        | {"amount": amount, "description": "Wages of November"}
        for amount in (1_500, 1_000_000)
    ],
}

TRANSFERRED = story.event(EventType.TRANSFER_SUCCEEDED)
FEED_CURSOR = "MTA3My4wMTlhODdjMi00ZDg5LTdlNGEtOWI2NS05MmJlZDE3ZjUzOGM"
NEW_ENDPOINT = {"url": story.WEBHOOK_URL, "event_types": ENDPOINT.event_types, "description": ENDPOINT.description}
CREATED = CreatedWebhookEndpoint(**msgspec.structs.asdict(ENDPOINT), secret=story.WEBHOOK_SECRET)
ROTATED = RotatedSecret(secret=story.WEBHOOK_SECRET, previous_until=ENDPOINT.created_at)
REPLAYED = {"from": "2026-11-22T00:00:00Z", "to": "2026-11-22T09:20:00Z", "only_failed": True}

# By operation: a handler's name is its operation's id.
EXAMPLES: dict[str, Example] = {
    "register_customer": Example(request=REGISTER, answer=REGISTRATION),
    "get_me": Example(answer=CUSTOMER),
    "get_customer": Example(answer=CUSTOMER),
    "list_customers": Example(answer=Page(items=[CUSTOMER], next_cursor=None)),
    "log_in": Example(request={"email": EMAIL, "password": PASSWORD}, answer=TOKENS),
    "refresh": Example(request={"refresh_token": REFRESH_TOKEN}, answer=TOKENS),
    "log_out": Example(request={"refresh_token": REFRESH_TOKEN}),
    "open_wallet": Example(request={"currency": "RWF", "type": "saving"}, answer=OPENING),
    "freeze_wallet": Example(request=REASON, answer=story.CHANGES[EventType.WALLET_FROZEN]),
    "unfreeze_wallet": Example(request=REASON, answer=story.CHANGES[EventType.WALLET_UNFROZEN]),
    "close_wallet": Example(request=REASON, answer=story.CHANGES[EventType.WALLET_CLOSED]),
    "freeze_customer": Example(request=REASON, answer=story.CHANGES[EventType.CUSTOMER_FROZEN]),
    "unfreeze_customer": Example(request=REASON, answer=story.CHANGES[EventType.CUSTOMER_UNFROZEN]),
    "close_customer": Example(request=REASON, answer=story.CHANGES[EventType.CUSTOMER_CLOSED]),
    "list_wallets": Example(answer=Page(items=[WALLET], next_cursor=None)),
    "get_wallet": Example(answer=WALLET),
    "list_entries": Example(answer=Page(items=ENTRIES, next_cursor=None)),
    "create_deposit": Example(request=MONEY_IN, answer=DEPOSIT),
    "create_withdrawal": Example(request=MONEY_OUT, answer=WITHDRAWAL),
    "create_transfer": Example(request=MONEY_ACROSS, answer=TRANSFER),
    "create_bulk_transfer": Example(request=MONEY_ACROSS_IN_BULK, answer=BULK),
    "get_transaction": Example(answer=TRANSACTION),
    "list_transactions": Example(answer=Page(items=[TRANSACTION], next_cursor=CURSOR)),
    "get_job": Example(answer=TRANSFER),
    "list_jobs": Example(answer=Page(items=[TRANSFER], next_cursor=CURSOR)),
    "stream_job": Example(answer=EVENTS),
    "cancel_job": Example(answer=CANCELED),
    "list_events": Example(answer=Feed(items=[TRANSFERRED], next_cursor=FEED_CURSOR, has_more=False)),
    "get_event": Example(answer=TRANSFERRED),
    "list_event_types": Example(answer=Page(items=[describe(EventType.TRANSFER_SUCCEEDED)], next_cursor=None)),
    "create_webhook_endpoint": Example(request=NEW_ENDPOINT, answer=CREATED),
    "list_webhook_endpoints": Example(answer=Page(items=[ENDPOINT], next_cursor=None)),
    "get_webhook_endpoint": Example(answer=ENDPOINT),
    "update_webhook_endpoint": Example(request={"event_types": ENDPOINT.event_types}, answer=ENDPOINT),
    "delete_webhook_endpoint": Example(),
    "rotate_webhook_secret": Example(answer=ROTATED),
    "rotate_callback_secret": Example(answer=ROTATED),
    "send_webhook_test": Example(answer=story.TEST),
    "replay_webhooks": Example(request=REPLAYED, answer=REPLAY),
    "list_webhook_deliveries": Example(answer=Page(items=[DELIVERY], next_cursor=None)),
    "get_webhook_delivery": Example(answer=DELIVERY),
    "redeliver_webhook": Example(answer=story.AGAIN),
    "get_head": Example(answer=story.BLOCK),
    "list_actions": Example(answer=Page(items=[story.ACTION], next_cursor=None)),
    "live": Example(answer={"status": "ok"}),
    "ready": Example(answer=Health(status="ok", postgres="up", redis="up")),
    "metrics": Example(answer=METRICS),
}
