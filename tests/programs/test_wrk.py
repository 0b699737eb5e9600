"""wrk runs our scripts: what they send is what the API takes, and no key comes twice."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any

import pytest

from bench import bulk, wrk
from bench.bank import Account, Targets

SOURCES = [Account(token=f"token-{number}", wallet_id=f"wallet-{number}") for number in range(3)]
TARGETS = Targets(sources=SOURCES, destinations=[*(one.wallet_id for one in SOURCES), "wallet-of-another"])
TRANSFER = {"source_wallet_id", "destination_wallet_id", "amount", "currency"}


class Recorder(ThreadingHTTPServer):
    """Accepts everything, and keeps it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.seen: list[tuple[str, str, str, Any]] = []


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key, token = self.headers["Idempotency-Key"], self.headers["Authorization"].removeprefix("Bearer ")
        self.server.seen.append((self.path, key, token, body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its base names it
        """Say nothing."""


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_transfers_are_sent_by_the_owners_of_their_sources(recorder: Recorder) -> None:
    accepted = wrk.post(f"http://127.0.0.1:{recorder.server_port}", TARGETS, clients=2, seconds=1)

    assert 0 < accepted.requests <= len(recorder.seen)
    assert len({key for _, key, _, _ in recorder.seen}) == len(recorder.seen)
    assert {path for path, *_ in recorder.seen} == {"/v1/transfers"}
    for _, _, token, body in recorder.seen:
        assert body.keys() == TRANSFER
        assert token.removeprefix("token-") == body["source_wallet_id"].removeprefix("wallet-")
        assert body["source_wallet_id"] != body["destination_wallet_id"]


def test_bulks_have_a_thousand_transfers(recorder: Recorder) -> None:
    wrk.post(f"http://127.0.0.1:{recorder.server_port}", TARGETS, clients=1, seconds=1, script=bulk.SCRIPT)

    assert len({key for _, key, _, _ in recorder.seen}) == len(recorder.seen) > 0
    assert {(path, body["mode"]) for path, _, _, body in recorder.seen} == {("/v1/transfers/bulk", "independent")}
    assert {len(body["items"]) for *_, body in recorder.seen} == {1_000}
    items = chain.from_iterable(body["items"] for *_, body in recorder.seen)
    assert all(item.keys() == TRANSFER and len(set(item.values())) == len(TRANSFER) for item in items)
