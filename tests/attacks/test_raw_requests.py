"""What is no request, or two in one, or never ends: one answer at most, a closed connection, and nothing done."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from api.arrivals import HEAD_BYTES_MAX, HEAD_SECONDS_MAX, REQUEST_SECONDS_MAX
from local.stack import Stack
from tests.api.clients import Api, Customer, transfer
from tests.api.test_arrivals import LOOP_SECONDS
from tests.attacks import raw

HOST = b"Host: localhost\r\n"
SECOND = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/auth/login HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
MARGIN_SECONDS = 15.0  # A timer on a machine that does much else; less than what lies between the bounds.

MALFORMED = {
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 50\r\n\r\n{}" + SECOND,
    "two lengths in one": POST + b"Content-Length: 2, 50\r\n\r\n{}" + SECOND,
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + SECOND,
    "chunks that are not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SECOND,
    "a length that is negative": POST + b"Content-Length: -1\r\n\r\n" + SECOND,
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}" + SECOND,
    "a length in hexadecimal": POST + b"Content-Length: 0x2\r\n\r\n{}" + SECOND,
    "a length beyond 64 bits": POST + b"Content-Length: 99999999999999999999\r\n\r\n{}" + SECOND,
    "a length that is empty": POST + b"Content-Length: \r\n\r\n{}" + SECOND,
    "a length before a colon with a blank": POST + b"Content-Length : 2\r\n\r\n{}" + SECOND,
    "a chunk size that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n" + SECOND,
    "a chunk size beyond 64 bits": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n{}\r\n" + SECOND,
    "a chunk size that is negative": POST + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n" + SECOND,
    "a chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n" + SECOND,
    "a blank in a name": b"GET / HTTP/1.1\r\n" + HOST + b"X Y: 1\r\n\r\n" + SECOND,
    "no name": b"GET / HTTP/1.1\r\n" + HOST + b": 1\r\n\r\n" + SECOND,
    "a NUL in a value": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n" + SECOND,
    "a CR alone in a value": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rY: b\r\n\r\n" + SECOND,
    "a value on two lines": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n\0b\r\n\r\n" + SECOND,
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    "a method that is none": b"G(T / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a version that is none": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    "a blank in the path": b"GET /health/live x HTTP/1.1\r\n" + HOST + b"\r\n",
    "words": b"hello, is anybody there?\r\n\r\n",
}
LARGE = {
    "one long value": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * HEAD_BYTES_MAX * 4,
    "one long value, complete": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * HEAD_BYTES_MAX + b"\r\n\r\n",
    "one long name": b"GET / HTTP/1.1\r\n" + HOST + b"X" * HEAD_BYTES_MAX * 4,
    "many names": b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: 1\r\n" % number for number in range(20_000)),
    "a long path": b"GET /" + b"a" * HEAD_BYTES_MAX * 4,
    "a long path, complete": b"GET /" + b"a" * HEAD_BYTES_MAX + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long method": b"G" * HEAD_BYTES_MAX * 4,
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_request_is_refused_and_nothing_behind_it_is_answered(
    stack: Stack, anyone: Api, sent: bytes
) -> None:
    said = raw.exchange(stack.api_url, sent)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.1 415")), said
    assert b"application/problem+json" in head
    assert said.count(b"HTTP/1.1 ") == 1
    assert b'"request_id"' in body
    assert anyone.get("/health/live").status_code == 200


@pytest.mark.parametrize("sent", LARGE.values(), ids=LARGE.keys())
def test_a_head_beyond_its_limit_is_not_kept(stack: Stack, sent: bytes) -> None:
    said = raw.exchange(stack.api_url, sent)
    assert said == b"" or said.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400")), said[:200]


HEAD = b"GET / HTTP/1.1\r\n"
BODY = POST + b"Content-Length: 900\r\n\r\n"
SLOW = {
    "nothing": ([b""], HEAD_SECONDS_MAX),
    "a letter": ([b"G"], HEAD_SECONDS_MAX),
    "half a head": ([HEAD + b"Host: loc"], HEAD_SECONDS_MAX),
    "a line now and then": ([HEAD, *(b"X-%d: 1\r\n" % number for number in range(80))], HEAD_SECONDS_MAX),
    "half a body": ([BODY + b"{"], REQUEST_SECONDS_MAX),
    "a letter of the body now and then": ([BODY, *[b" "] * 120], REQUEST_SECONDS_MAX),
}


def test_who_never_finishes_is_let_go_and_nobody_waits_for_them(stack: Stack, ann: Customer) -> None:
    """All at once, with a pause of half a second after each piece: together they take as long as the longest."""
    with ThreadPoolExecutor(len(SLOW)) as clients:
        waiting = {
            name: clients.submit(raw.seconds_until_closed, stack.api_url, *sent, pause_seconds=0.5)
            for name, (sent, _) in SLOW.items()
        }
        assert ann.api.get("/v1/customers/me").status_code == 200
        took = {name: one.result() for name, one in waiting.items()}
    late = {name: seconds - SLOW[name][1] for name, seconds in took.items()}
    assert {name: seconds for name, seconds in late.items() if not -LOOP_SECONDS < seconds < MARGIN_SECONDS} == {}


def test_two_requests_in_one_packet_are_two(stack: Stack) -> None:
    said = raw.exchange(stack.api_url, SECOND + SECOND.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert said.count(b"HTTP/1.1 200 OK") == 2


def test_what_is_no_request_is_refused_behind_the_answer_to_the_transfer_before_it(
    stack: Stack, ann: Customer, bob: Customer
) -> None:
    body = msgspec.json.encode(transfer(ann.wallet_id, bob.wallet_id))
    head = (
        f"POST /v1/transfers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nPrefer: wait=30\r\n"
        f"Authorization: Bearer {ann.access_token}\r\nIdempotency-Key: first\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    said = raw.exchange(stack.api_url, head.encode() + body + b"hello, is anybody there?\r\n\r\n")
    first, _, second = said.partition(b"HTTP/1.1 400")
    assert first.startswith(b"HTTP/1.1 200")
    assert b'"succeeded"' in first
    assert b'"bad_request"' in second
