"""The smoke test of a deployed system: it passes on one that works, and says in a sentence what does not."""

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx2
import pytest

import smoke
from local import ports
from local.stack import Stack
from smoke import DOMAIN, Failed
from tests.api.clients import connect
from tests.api.conftest import NewKey, Sql
from tests.api.processes import serving
from tests.verbs import Tekana

POLL_SECONDS = 0.01  # How soon the server below notices that it may end.
SCOPES = ("deposits:write", "withdrawals:write", "jobs:read")
SHOWN = [
    "two customers registered, each with a wallet, and logged in",
    "a customer opened another wallet",
    "an operator paid money in",
    "a customer paid the other one",
    "repeated, the transfer was done once",
    "nobody pays what they do not have",
    "statements and balances agree",
    "nobody sees somebody else's wallet",
    "the money was paid out again",
]


@pytest.fixture(scope="module")
def key(new_key: NewKey) -> str:
    """An API key that may do what the smoke test needs, and nothing else."""
    return new_key(*SCOPES).token


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "PATIENCE_SECONDS", 0.5)


def test_a_system_that_works_passes(stack: Stack, key: str) -> None:
    assert list(smoke.run(stack.api_url, key)) == SHOWN


def test_what_stays_are_customers_with_empty_wallets_of_a_currency_of_its_own(stack: Stack, key: str, sql: Sql) -> None:
    list(smoke.run(stack.api_url, key))

    wallets = sql(
        "SELECT currency, balance FROM wallets JOIN customers ON customers.id = customer_id WHERE email LIKE :ours",
        ours=f"%@{DOMAIN}",
    )

    assert wallets
    assert {(wallet["currency"], wallet["balance"]) for wallet in wallets} == {("XAD", 0)}


def test_the_command_says_what_worked(stack: Stack, key: str, tekana: Tekana) -> None:
    done = tekana("smoke", "--api-url", stack.api_url, SMOKE_KEY=key)

    lines = done.out.splitlines()
    assert done.status == 0
    assert lines[:-1] == [f"ok  {one}" for one in SHOWN]
    assert lines[-1].startswith(f"{stack.api_url} works (")


def test_the_command_says_what_did_not_and_fails(stack: Stack, tekana: Tekana) -> None:
    done = tekana("smoke", "--api-url", stack.api_url, "--key", "tk_of_nobody")

    assert done.status == 1
    assert re.search(r"http://127\S+: a request with the API key: expected 200, found 401", done.err)


def test_a_key_of_other_scopes_is_not_enough(stack: Stack, new_key: NewKey) -> None:
    with pytest.raises(Failed, match="POST /v1/deposits: forbidden: "):
        list(smoke.run(stack.api_url, new_key("jobs:read").token))


def test_while_customers_come_over_its_domain_must_be_let_in(stack: Stack, key: str, tmp_path: Path) -> None:
    with serving(stack.env, tmp_path / "log", COHORT_PERCENT="0", COHORT_MEMBERS=f"@{DOMAIN}") as api:
        assert list(smoke.run(str(api.http.base_url), key)) == SHOWN


def test_while_customers_come_over_it_says_that_it_is_not_let_in(stack: Stack, key: str, tmp_path: Path) -> None:
    with (
        serving(stack.env, tmp_path / "log", COHORT_PERCENT="0") as api,
        pytest.raises(Failed, match="POST /v1/customers: not_admitted: "),
    ):
        list(smoke.run(str(api.http.base_url), key))


@pytest.mark.usefixtures("impatient")
def test_a_system_that_is_not_there_is_not_waited_for_for_ever(key: str) -> None:
    with pytest.raises(Failed, match=r"GET /v1/jobs\S+: no answer: "):
        list(smoke.run(f"http://{ports.HOST}:{ports.free()}", key))


@pytest.mark.usefixtures("impatient")
def test_a_system_without_workers_is_found_out(stack: Stack, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.client.WAIT_SECONDS", 1)
    stack.hold("worker-customers")
    try:
        with pytest.raises(Failed, match=r"job .* \(customer.register\) is still queued"):
            list(smoke.run(stack.api_url, key))
    finally:
        stack.release("worker-customers")


class Liar(BaseHTTPRequestHandler):
    """Passes requests on to a real system and changes a word of its answers."""

    protocol_version = "HTTP/1.1"
    upstream: ClassVar[httpx2.Client]
    word: ClassVar[bytes]
    lie: ClassVar[bytes]

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        kept = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
        answer = self.upstream.request(self.command, self.path, headers=kept, content=body)
        content = answer.content.replace(self.word, self.lie)
        self.send_response(answer.status_code)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def lying(upstream_url: str, word: str, lie: str) -> Iterator[str]:
    with connect(upstream_url) as upstream:
        told = {"upstream": upstream, "word": word.encode(), "lie": lie.encode()}
        with ThreadingHTTPServer((ports.HOST, 0), type("Told", (Liar,), told)) as server:
            threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()
            yield f"http://{ports.HOST}:{server.server_port}"
            server.shutdown()


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (('"amount":-250', '"amount":-251'), "the payer's statement: expected"),
        (('"balance_after":250', '"balance_after":251'), "the receiver's statement: expected"),
        (('"balance":750', '"balance":751'), r"the balances: expected \[750, 250\], found \[751, 250\]"),
        (('"balance":0', '"balance":1'), r"the balances: expected \[0, 0\], found \[1, 1\]"),
        (("insufficient_funds", "wallet_frozen"), "a transfer of more than there is: expected insufficient_funds"),
        (("idempotency_key_reused", "fine"), "another transfer with the same key: expected"),
        (
            ('"state":"succeeded"', '"state":"failed"'),
            "the job of POST /v1/customers: expected succeeded, found failed",
        ),
    ],
)
def test_what_is_not_as_it_should_be_is_named(stack: Stack, key: str, told: tuple[str, str], found: str) -> None:
    with lying(stack.api_url, *told) as url, pytest.raises(Failed, match=found):
        list(smoke.run(url, key))
