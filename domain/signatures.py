"""Secrets of webhooks, and the signatures made with them (Standard Webhooks 1.0)."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from uuid import UUID

SECRET_PREFIX = "whsec_"  # noqa: S105 - Standard Webhooks' own, for scanners that look for leaked secrets
SECRET_BYTES_MIN = 24  # Standard Webhooks' own bound.
SECRET_BYTES = 32  # Standard Webhooks wants 24 to 64; HMAC-SHA256 gains nothing from more (RFC 2104, section 3).
TIMESTAMP = re.compile("[1-9][0-9]{0,11}")  # Until the year 33658.
TOLERANCE_SECONDS = 300  # A message that is older may be a replay by somebody who overheard it.


def new_secret(random: bytes) -> str:
    """Return 32 random bytes as a secret is written: `whsec_` and base64."""
    return SECRET_PREFIX + base64.b64encode(random).decode()


def headers(secrets: Iterable[str], event_id: UUID, timestamp: int, body: bytes) -> dict[str, str]:
    """Return what a message carries (Standard Webhooks 1.0); its id is the event's, the same on every attempt."""
    message_id = str(event_id)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secrets, message_id, timestamp, body),
    }


def signature(secrets: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` header: one `v1,<base64>` for each secret.

    `timestamp` in seconds since 1970. Source: Standard Webhooks 1.0, "Signature scheme", symmetric.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(_key(secret), signed, "sha256") for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def is_signed(secret: str, headers: dict[str, str], body: bytes, *, now: float) -> bool:
    """Tell whether a message comes from who knows the secret, and is not old (`now` in seconds since 1970).

    `headers` by lower-case name: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    """
    try:
        timestamp = _seconds(headers["webhook-timestamp"])
        expected = signature([secret], headers["webhook-id"], timestamp, body).encode()
        given = headers["webhook-signature"].encode().split()
    except (KeyError, ValueError):
        return False
    is_known = any(hmac.compare_digest(expected, one) for one in given)
    return is_known and now - TOLERANCE_SECONDS <= timestamp <= now + TOLERANCE_SECONDS


def _seconds(text: str) -> int:
    """Read a timestamp as it is written, so that what is checked is what was signed: no sign, blank or underscore."""
    if not TIMESTAMP.fullmatch(text):
        raise ValueError("not a timestamp")
    return int(text)


def _key(secret: str) -> bytes:
    """Return the bytes of a secret. An empty one would make everybody's signature valid."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not a webhook secret") from error
    if len(key) < SECRET_BYTES_MIN:
        raise ValueError("not a webhook secret")
    return key
