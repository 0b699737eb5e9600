"""What an integrator may ask for, and signatures that the rest of the world verifies (Standard Webhooks 1.0)."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import UNSET
from standardwebhooks.webhooks import Webhook

from domain.events import PATTERNS_MAX
from domain.jobs import Kind
from domain.replays import Replay, ReplayWebhooks, replays
from domain.signatures import SECRET_BYTES, TOLERANCE_SECONDS, is_signed, new_secret, signature
from domain.webhooks import CreateWebhookEndpoint, UpdateWebhookEndpoint
from tests.made import claimed

# The example of the specification's reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER_SECRET = new_secret(b"o" * SECRET_BYTES)
OTHER_SIGNATURE = signature([OTHER_SECRET], MESSAGE_ID, TIMESTAMP, BODY)
HEADERS = {"webhook-id": MESSAGE_ID, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": SIGNATURE}

URL = "https://hooks.example.rw/in"


def test_a_secret_is_its_random_bytes_in_base64_behind_the_prefix() -> None:
    random = bytes(range(SECRET_BYTES))
    secret = new_secret(random)
    assert secret.startswith("whsec_")
    assert base64.b64decode(secret.removeprefix("whsec_"), validate=True) == random


def test_a_secret_has_as_many_bytes_as_the_standard_wants() -> None:
    assert 24 <= SECRET_BYTES <= 64


def test_the_example_of_the_reference_libraries_has_their_signature() -> None:
    assert signature([SECRET], MESSAGE_ID, TIMESTAMP, BODY) == SIGNATURE


@given(some.binary(min_size=24, max_size=64), some.uuids(), some.integers(0, 10**11), some.binary(max_size=300))
def test_a_signature_is_an_hmac_of_id_timestamp_and_body(key: bytes, event: UUID, timestamp: int, body: bytes) -> None:
    expected = base64.b64encode(hmac_sha256(key, f"{event}.{timestamp}.".encode() + body)).decode()
    assert signature([new_secret(key)], str(event), timestamp, body) == f"v1,{expected}"


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104, section 2, word for word: H(K xor opad, H(K xor ipad, text)), for keys of at most 64 bytes."""
    padded = key.ljust(64, b"\0")
    inner, outer = bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)
    return hashlib.sha256(outer + hashlib.sha256(inner + message).digest()).digest()


@given(some.binary(min_size=24, max_size=64), some.uuids(), some.text(max_size=100))
def test_the_librarys_receivers_take_our_messages_and_sign_like_us(key: bytes, event: UUID, text: str) -> None:
    secret, now, body = new_secret(key), datetime.now(UTC), msgspec.json.encode({"text": text})
    sent = signature([secret], str(event), int(now.timestamp()), body)
    headers = HEADERS | {"webhook-id": str(event), "webhook-timestamp": str(int(now.timestamp()))}
    assert Webhook(secret).sign(str(event), now, body.decode()) == sent
    assert Webhook(secret).verify(body, headers | {"webhook-signature": sent}) == {"text": text}


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
def test_during_a_rotation_either_secret_verifies(secret: str) -> None:
    both = signature([OTHER_SECRET, SECRET], MESSAGE_ID, TIMESTAMP, BODY)
    assert both == f"{OTHER_SIGNATURE} {SIGNATURE}"
    assert is_signed(secret, HEADERS | {"webhook-signature": both}, BODY, now=TIMESTAMP)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_%%%",
        "whsec_YQ",
        "whsec_ünïcødé",
        SECRET + "\n",
        SECRET[:-1],
        "no secret",
        new_secret(b"x" * 23),
    ],
)
def test_what_is_no_secret_signs_nothing(secret: str) -> None:
    with pytest.raises(ValueError, match=r"secret|ASCII"):
        signature([secret], MESSAGE_ID, TIMESTAMP, BODY)
    assert not is_signed(secret, HEADERS, BODY, now=TIMESTAMP)


SIGNED: list[tuple[dict[str, str], float]] = [  # Changed headers, and the seconds since the message was signed.
    ({}, 0),
    ({}, TOLERANCE_SECONDS),
    ({}, -TOLERANCE_SECONDS),
    ({}, 0.5),
    ({"webhook-signature": f"{OTHER_SIGNATURE} {SIGNATURE}"}, 0),
    ({"webhook-signature": f"{SIGNATURE} {OTHER_SIGNATURE}"}, 0),
    ({"webhook-signature": f"v2,AAAA  v1a,BBBB {SIGNATURE} "}, 0),
    ({"content-type": "text/plain", "x-more": "\udcff"}, 0),
]
NOT_SIGNED: list[tuple[dict[str, str], float]] = [
    ({}, TOLERANCE_SECONDS + 1),  # Stale.
    ({}, -TOLERANCE_SECONDS - 1),  # From the future.
    ({}, 10**9),
    ({"webhook-id": MESSAGE_ID + "x"}, 0),
    ({"webhook-id": ""}, 0),
    ({"webhook-id": "\udcff"}, 0),
    ({"webhook-timestamp": str(TIMESTAMP + 1)}, 0),
    ({"webhook-timestamp": ""}, 0),
    ({"webhook-timestamp": "soon"}, 0),
    ({"webhook-timestamp": f"{TIMESTAMP}.0"}, 0),
    ({"webhook-timestamp": f"-{TIMESTAMP}"}, 0),
    ({"webhook-timestamp": f"+{TIMESTAMP}"}, 0),
    ({"webhook-timestamp": f"0{TIMESTAMP}"}, 0),
    ({"webhook-timestamp": f"{TIMESTAMP} "}, 0),
    ({"webhook-timestamp": f"{TIMESTAMP:_}"}, 0),
    ({"webhook-timestamp": str(TIMESTAMP).replace("1", "\u0661")}, 0),
    ({"webhook-timestamp": "9" * 4_000}, 0),
    ({"webhook-timestamp": "9" * 5_000}, 0),
    ({"webhook-timestamp": "2021-02-25T15:02:10Z"}, 0),
    ({"webhook-signature": ""}, 0),
    ({"webhook-signature": OTHER_SIGNATURE}, 0),
    ({"webhook-signature": SIGNATURE.removeprefix("v1,")}, 0),
    ({"webhook-signature": SIGNATURE.replace("v1,", "v2,")}, 0),
    ({"webhook-signature": SIGNATURE.replace("v1,", "v1a,")}, 0),
    ({"webhook-signature": SIGNATURE[:-1]}, 0),
    ({"webhook-signature": SIGNATURE + "="}, 0),
    ({"webhook-signature": SIGNATURE.lower()}, 0),
    ({"webhook-signature": SIGNATURE.replace(",", ", ")}, 0),
    ({"webhook-signature": f"{SIGNATURE},{OTHER_SIGNATURE}"}, 0),
    ({"webhook-signature": "ünïcødé"}, 0),
    ({"webhook-signature": "\udcff"}, 0),
]


@pytest.mark.parametrize(("changes", "age"), SIGNED)
def test_a_message_is_taken_from_who_knows_the_secret(changes: dict[str, str], age: float) -> None:
    assert is_signed(SECRET, HEADERS | changes, BODY, now=TIMESTAMP + age)


@pytest.mark.parametrize(("changes", "age"), NOT_SIGNED)
def test_a_message_that_is_old_malformed_or_somebody_elses_is_not_taken(changes: dict[str, str], age: float) -> None:
    assert not is_signed(SECRET, HEADERS | changes, BODY, now=TIMESTAMP + age)


@pytest.mark.parametrize("name", list(HEADERS))
def test_a_message_without_one_of_its_headers_is_not_taken(name: str) -> None:
    headers = {other: value for other, value in HEADERS.items() if other != name}
    assert not is_signed(SECRET, headers, BODY, now=TIMESTAMP)


@pytest.mark.parametrize("body", [b"", BODY + b" ", BODY[:-1], BODY.replace(b"4", b"5", 1)])
def test_a_message_whose_body_was_changed_is_not_taken(body: bytes) -> None:
    assert not is_signed(SECRET, HEADERS, body, now=TIMESTAMP)


def test_a_signed_time_that_no_clock_shows_is_not_taken() -> None:
    far = 10**400
    headers = HEADERS | {"webhook-timestamp": str(far), "webhook-signature": signature([SECRET], MESSAGE_ID, far, BODY)}
    assert not is_signed(SECRET, headers, BODY, now=TIMESTAMP)


def test_an_endpoint_hears_everything_from_the_beginning_unless_it_says_otherwise() -> None:
    request = msgspec.convert({"url": URL}, CreateWebhookEndpoint)
    assert (request.event_types, request.enabled, request.description) == (["*"], True, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": None},
        {"url": ""},
        {"url": "https://example.rw/" + "x" * 2_048},
        {"url": 5},
        {"event_types": None},
        {"event_types": []},
        {"event_types": "*"},
        {"event_types": ["*"] * (PATTERNS_MAX + 1)},
        {"event_types": ["transfer"]},
        {"event_types": [""]},
        {"event_types": ["*", "x" * 65]},
        {"event_types": ["*", None]},
        {"description": "d" * 256},
        {"description": 5},
        {"enabled": None},
        {"enabled": "true"},
        {"enabled": 1},
        {"secret": SECRET},
        {"disabled_reason": "none"},
    ],
)
def test_an_endpoint_that_is_wrong_is_refused_when_it_is_made_and_when_it_is_changed(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"url": URL} | changes, CreateWebhookEndpoint)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(changes, UpdateWebhookEndpoint)


@pytest.mark.parametrize(
    ("body", "given_fields"),
    [
        ({}, {}),
        ({"description": None}, {"description": None}),
        ({"description": "mine"}, {"description": "mine"}),
        ({"enabled": False}, {"enabled": False}),
        ({"url": URL, "event_types": ["job.*"]}, {"url": URL, "event_types": ["job.*"]}),
    ],
)
def test_a_change_knows_what_was_given_and_null_from_nothing(
    body: dict[str, Any], given_fields: dict[str, Any]
) -> None:
    change = msgspec.convert(body, UpdateWebhookEndpoint)
    found = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    assert found == given_fields


@pytest.mark.parametrize(
    ("body", "begin", "end", "only_failed"),
    [
        ({"from": "2026-11-23T00:00:00Z"}, datetime(2026, 11, 23, tzinfo=UTC), None, False),
        (
            {"from": "2026-11-23T02:00:00+02:00", "to": "2026-11-23T00:00:00.000001Z", "only_failed": True},
            datetime(2026, 11, 23, tzinfo=UTC),
            datetime(2026, 11, 23, 0, 0, 0, 1, tzinfo=UTC),
            True,
        ),
    ],
)
def test_a_replay_says_from_when_to_when(
    body: dict[str, Any], begin: datetime, end: datetime | None, only_failed: object
) -> None:
    request = msgspec.json.decode(msgspec.json.encode(body), type=ReplayWebhooks)
    assert (request.begin, request.end, request.only_failed) == (begin, end, only_failed)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"to": "2026-11-23T00:00:00Z"},
        {"from": None},
        {"from": "2026-11-23"},
        {"from": "yesterday"},
        {"from": 1_614_265_330},
        {"from": "2026-11-23T00:00:00"},
        {"from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00"},
        {"from": "2026-11-23T00:00:00Z", "to": "2026-11-23T00:00:00Z"},
        {"from": "2026-11-23T00:00:00Z", "to": "2026-11-23T01:00:00+02:00"},
        {"from": "2026-11-23T00:00:00Z", "to": "2025-11-23T00:00:00Z"},
        {"from": "2026-11-23T00:00:00Z", "only_failed": "yes"},
        {"from": "2026-11-23T00:00:00Z", "only_failed": None},
        {"begin": "2026-11-23T00:00:00Z"},
        {"from": "2026-11-23T00:00:00Z", "surprise": 1},
    ],
)
def test_a_replay_that_is_wrong_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(body), type=ReplayWebhooks)


def test_a_replay_survives_being_queued() -> None:
    begin = datetime(2026, 11, 23, 0, 0, 0, 1, tzinfo=UTC)
    replay = Replay(endpoint_id=UUID(int=1), begin=begin, end=begin + timedelta(days=1), only_failed=True)
    job = claimed(Kind.WEBHOOK_REPLAY, replay)
    assert replays([job]) == {job.id: replay}
