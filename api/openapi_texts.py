"""What the OpenAPI document says in words, and the parts that its operations share."""

from typing import Any

from domain.errors import Rejection
from domain.jobs import Queue

DESCRIPTION = """\
Tekana is an e-wallet back end: customers hold wallets, and money moves between them through a double-entry ledger.

**Every write is a job.** A POST that changes customers, wallets or money answers `202` with a job as soon as that
job is durable; workers settle it within milliseconds. So the conversation goes:

1. `POST /v1/customers`, with an `Idempotency-Key` that you choose. The answer is `202`, the job, and its address in
   `Location`.
2. `GET /v1/jobs/{id}` until `state` is no longer `queued`. Or let the server wait: send `Prefer: wait=10` with either
   request, or listen to `GET /v1/jobs/{id}/events`.
3. `POST /v1/auth/login`, and send the access token as `Authorization: Bearer ...` from then on. Programs use an API key
   (`tk_...`) in its place.
4. `POST /v1/deposits`, `/v1/transfers`, `/v1/withdrawals`: jobs again. `succeeded` means that the money has moved and
   is committed; `rejected` means that a rule said no, and `error.code` says which. `POST /v1/transfers/bulk` is up to
   1,000 transfers as one job.
5. `GET /v1/wallets/{id}` for the balance, `GET /v1/wallets/{id}/entries` for the statement.

**Money** is an integer count of minor units and an ISO 4217 currency: 15.00 USD is `1500`, 1500 RWF is `1500`. Floats,
strings and unknown fields are refused.

**Retries are safe.** The same `Idempotency-Key` with the same request names the same job, for 7 days at least.

**Being told.** How a job ended is an event. An endpoint (`POST /v1/webhook-endpoints`) is sent the events that it
subscribes to, a `callback_url` the end of its one job, and `GET /v1/events` gives the same to whoever asks. Messages
are signed: see the webhook `event` below.

**Errors** are problem documents (RFC 9457); `code` is stable, for programs. Credentials that are
not valid are a 401 wherever it matters who calls, an unknown path is a 404,
a method that a path does not have a 405, and a 500 is a bug of ours.

**Rates are told.** Where requests are counted, by caller, e-mail or network address, the answer says in `RateLimit` and
`RateLimit-Policy` how many more may come (draft-ietf-httpapi-ratelimit-headers). Beyond that it is a 429 whose
`Retry-After` is good. Where there is no limit, there are no such fields. The rate `request` is of everything that a
caller asks for, and one of several processes answers: what is left of it may differ from answer to answer.

**While customers come over** from a previous platform, not everybody is served here yet: registering, logging in and
refreshing a token answer 403 with `not_admitted` to those whose turn has not come. API keys with
`customers:write` register whom they like.

**Lists** are newest first, only the feed of events is oldest first: `limit` says how long a page is, `cursor` where the
next one starts. Every answer carries `X-Request-Id`; one that you send (up to 128 letters, digits, `.`, `_`, `:` and
`-`) comes back.

**What is read may be a few seconds old**, in practice milliseconds, where an operator has reads answered by a replica:
lists, statements and balances. A job never is: it is found from its `202` on, and one that was seen to end stays ended.
Nor is anything unknown that you have an id of. A GET with `Cache-Control: no-cache` is answered with what is true now.

This description: [/openapi.json](/openapi.json)."""

TAGS = {
    "customers": f"Registration, and who customers are. Jobs of the queue `{Queue.CUSTOMERS}`.",
    "auth": "Tokens for customers: logging in, staying logged in, logging out.",
    "wallets": f"Wallets, their balances and statements. Jobs of the queue `{Queue.WALLETS}`.",
    "transactions": f"Money in, out and across, and what was posted. Jobs of the queue `{Queue.TRANSACTIONS}`.",
    "jobs": "What became of a write: poll, wait, listen, or take it back.",
    "webhooks": (
        "Being told of events instead of asking: endpoints, deliveries, and the feed that says the same. "
        f"Replays are jobs of the queue `{Queue.WEBHOOKS}`."
    ),
    "audit": "What operators did, and what to keep of the ledger.",
    "health": "For probes and scrapers of the local network.",
}

MESSAGE = """\
Sent as Standard Webhooks 1.0 has it. `webhook-signature` holds, for each secret in force, `v1,` and the base64 of
HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`; the key is the base64 that follows `whsec_` in the
endpoint's secret, or for a `callback_url` in the API key's own secret (`POST /v1/callbacks/rotate-secret`).

A receiver compares the signature with one of its own before it parses the body, refuses a timestamp that is more than
five minutes old, and answers 2xx within 15 seconds; then it does its work. A message may come more than once, and not
in order: `webhook-id` is the same each time, and `sequences` tell the order within a wallet. What is not answered by
2xx is sent again, ten times in about three and a half days; redirects are not followed."""

MESSAGE_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")

MESSAGE_ANSWERS = {
    "2XX": "It has arrived. The body is not read, except for its beginning, which the log of deliveries shows.",
    "410": "Nothing more is wanted: an endpoint is switched off.",
    "429": "Not now: nothing is sent until `Retry-After` has passed. So with 502, 503 and 504.",
    "default": "It is sent again.",
}

SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A customer's access token from `POST /v1/auth/login`, or an API key `tk_...`.",
    }
}

# The errors that operations share, by status: the name of the response.
ERRORS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    413: "ContentTooLarge",
    415: "UnsupportedMediaType",
    422: "UnprocessableContent",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}

# Errors that do not follow from what a route takes and from whom.
STATUSES = {
    "register_customer": {403},
    "log_in": {401, 403},
    "refresh": {401, 403},
    "log_out": {401},
    "open_wallet": {404},
    "create_withdrawal": {404},
    "create_transfer": {404},
    "create_bulk_transfer": {404},
    "list_transactions": {404},
    "cancel_job": {409},
    "create_webhook_endpoint": {409},
    "send_webhook_test": {409},
    "redeliver_webhook": {409},
    "metrics": {404},
}

_MONEY = list(Rejection)[: list(Rejection).index(Rejection.VELOCITY_AMOUNT_EXCEEDED) + 1]

# By operation: why its job can be rejected, in the order of precedence.
REJECTIONS = {
    "register_customer": [Rejection.EMAIL_TAKEN, Rejection.NATIONAL_ID_TAKEN],
    "open_wallet": [Rejection.CUSTOMER_NOT_FOUND, Rejection.CUSTOMER_CLOSED, Rejection.CUSTOMER_FROZEN],
    "freeze_wallet": [Rejection.WALLET_NOT_FOUND, Rejection.WALLET_CLOSED],
    "unfreeze_wallet": [Rejection.WALLET_NOT_FOUND, Rejection.WALLET_CLOSED, Rejection.CUSTOMER_FROZEN],
    "close_wallet": [Rejection.WALLET_NOT_FOUND, Rejection.BALANCE_NOT_ZERO],
    "freeze_customer": [Rejection.CUSTOMER_NOT_FOUND, Rejection.CUSTOMER_CLOSED],
    "unfreeze_customer": [Rejection.CUSTOMER_NOT_FOUND, Rejection.CUSTOMER_CLOSED],
    "close_customer": [Rejection.CUSTOMER_NOT_FOUND, Rejection.WALLETS_NOT_CLOSED],
    "create_deposit": [
        Rejection.DESTINATION_NOT_FOUND,
        Rejection.DESTINATION_CLOSED,
        Rejection.DESTINATION_FROZEN,
        Rejection.CURRENCY_MISMATCH,
        Rejection.BALANCE_LIMIT_EXCEEDED,
    ],
    "create_withdrawal": [
        Rejection.SOURCE_NOT_FOUND,
        Rejection.SOURCE_CLOSED,
        Rejection.SOURCE_FROZEN,
        Rejection.CURRENCY_MISMATCH,
        Rejection.INSUFFICIENT_FUNDS,
        Rejection.VELOCITY_COUNT_EXCEEDED,
        Rejection.VELOCITY_AMOUNT_EXCEEDED,
    ],
    "create_transfer": _MONEY,
    "create_bulk_transfer": _MONEY,
    "replay_webhooks": [Rejection.ENDPOINT_NOT_FOUND, Rejection.ENDPOINT_DISABLED, Rejection.REPLAY_TOO_LARGE],
}


def _header(description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": {"type": "string"} | schema}


HEADERS = {
    "Cache-Control": _header("The answer holds a secret.", const="no-store"),
    "ETag": _header("Of a finished job, for `If-None-Match`.", examples=['"5d41402abc4b2a76b9719d91"']),
    "Idempotency-Hit": _header("Present when this key has named a job before: the answer is that job.", const="true"),
    "Location": _header(
        "Where to read it.",
        required=True,
        format="uri-reference",
        examples=["/v1/jobs/019a87c2-4d6f-7c28-ae43-709cbf5d316a"],
    ),
    "Preference-Applied": _header("The wait that was granted.", pattern="^wait=[0-9]+$", examples=["wait=10"]),
    "RateLimit": _header(
        "What is left (`r`) of each rate that counted the request, and in how many seconds (`t`) there is more.",
        examples=['"post";r=599;t=60'],
    ),
    "RateLimit-Policy": _header(
        "The rates themselves: `q` requests in any `w` seconds.", examples=['"post";q=600;w=60']
    ),
    "Retry-After": _header("Seconds after which to ask again.", type="integer", minimum=0, examples=[1]),
    "WWW-Authenticate": _header("How to authenticate (RFC 9110).", const="Bearer"),
    "X-Request-Id": _header("Names this request in the logs.", required=True, pattern="^[A-Za-z0-9._:-]{1,128}$"),
}


def _parameter(name: str, description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "description": description,
        "required": required,
        "schema": {"type": "string"} | schema,
    }


PARAMETERS = {
    "Idempotency-Key": _parameter(
        "Idempotency-Key",
        "Chosen by the client, such as a UUID: the same key with the same request names the same job.",
        required=True,
        minLength=1,
        maxLength=255,
        pattern="^[!-~]{1,255}$",
    ),
    "Prefer": _parameter(
        "Prefer",
        "`wait=N` (RFC 7240): answer once the job has finished, or after N seconds, at most 30.",
    ),
    "webhook-id": _parameter("webhook-id", "The event's id.", required=True, format="uuid"),
    "webhook-timestamp": _parameter(
        "webhook-timestamp", "When it was sent, in seconds since 1970.", required=True, pattern="^[0-9]+$"
    ),
    "webhook-signature": _parameter(
        "webhook-signature",
        "One or, for 24 hours after a rotation, two signatures, with a blank between them.",
        required=True,
        pattern="^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$",
    ),
    "If-None-Match": _parameter("If-None-Match", "The `ETag` of the finished job that the client has."),
    "Last-Event-ID": _parameter(
        "Last-Event-ID", "The state that the client was told last; browsers send it when they reconnect."
    ),
}
