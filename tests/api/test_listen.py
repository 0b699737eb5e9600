"""`tekana webhooks listen`: a receiver that is there for as long as somebody watches."""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import httpx2
import pytest

from local import ports
from local.stack import Stack
from tests.api.clients import Api, Customer, Integrator, transfer
from tests.api.processes import ROOT, serving
from tests.sinks import Sinks, until

LINE_SECONDS_MAX = 30.0  # Two seconds of imports, on a machine that does much else at the time.
END_SECONDS_MAX = 20.0


class Listening:
    """The command as a process; its lines as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._out, self._err = lines(process.stdout), lines(process.stderr)
        self.banner = self.said()
        self.url, self.secret = self.banner.split()[3].rstrip(","), self.banner.split()[6]

    def heard(self) -> Any:
        """Return the next line of standard output."""
        return json.loads(self._out.get(timeout=LINE_SECONDS_MAX))

    def said(self) -> str:
        """Return the next line of standard error."""
        return self._err.get(timeout=LINE_SECONDS_MAX)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(END_SECONDS_MAX)


def lines(stream: IO[str] | None) -> queue.Queue[str]:
    """Read in a thread, so that a test can stop waiting."""
    result: queue.Queue[str] = queue.Queue()
    threading.Thread(target=fill, args=(result, stream), daemon=True).start()
    return result


def fill(lines: queue.Queue[str], stream: IO[str] | None) -> None:
    for line in stream or []:
        lines.put(line)


@contextlib.contextmanager
def listening(api: Api, *options: str) -> Iterator[Listening]:
    with started("--api-url", str(api.http.base_url), "--key", api.token, *options) as process:
        yield Listening(process)


@contextlib.contextmanager
def started(*options: str, **changes: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "cli", "webhooks", "listen", *options]
    env = os.environ | changes
    with subprocess.Popen(
        argv, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(*options: str, **changes: str) -> tuple[int, str]:
    """Run the command to its end; return its status and what it said."""
    with started(*options, **changes) as process:
        out, err = process.communicate(timeout=LINE_SECONDS_MAX)
    assert out == ""
    return process.returncode, err


@pytest.fixture(scope="module")
def integrator(new_integrator: Callable[..., Integrator]) -> Api:
    return new_integrator("*").api


def endpoints(integrator: Api, url: str) -> list[dict[str, Any]]:
    """Return the endpoints at an address: the operator's key sees those of all tests."""
    return [one for page in integrator.pages("/v1/webhook-endpoints", 200) for one in page if one["url"] == url]


def pay(integrator: Api, ann: Customer, bob: Customer) -> dict[str, Any]:
    return integrator.finished("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_verified_event_is_a_line_and_the_endpoint_goes_with_the_listener(
    integrator: Api, ann: Customer, bob: Customer, number: int
) -> None:
    with listening(integrator, "--event-type", "transfer.*", "--event-type", "deposit.failed") as listener:
        [endpoint] = endpoints(integrator, listener.url)
        job = pay(integrator, ann, bob)
        line = listener.heard()

        assert endpoint["event_types"] == ["transfer.*", "deposit.failed"]
        assert (line["verified"], line["type"], line["data"]) == (True, "transfer.succeeded", job)
        assert line == {"verified": True} | integrator.get(f"/v1/events/{line['id']}").json()
        assert listener.end(number) == 0
        assert endpoints(integrator, listener.url) == []


def test_a_delivered_message_is_answered_with_204(integrator: Api, ann: Customer, bob: Customer) -> None:
    with listening(integrator) as listener:
        [endpoint] = endpoints(integrator, listener.url)
        pay(integrator, ann, bob)
        listener.heard()
        path = f"/v1/webhook-deliveries?endpoint_id={endpoint['id']}"
        found = until(lambda: integrator.get(path).json()["items"], lambda items: items and items[0]["attempts"])
        assert found[0]["attempts"][0]["status"] == 204


def test_a_message_that_somebody_made_up_is_refused_and_shown_as_such(integrator: Api) -> None:
    headers = {"webhook-id": "made-up", "webhook-timestamp": "1", "webhook-signature": "v1,"}
    with listening(integrator) as listener:
        assert httpx2.post(listener.url, content=b"{}", headers=headers, trust_env=False).status_code == 400
        assert listener.heard() == {"verified": False, "id": "made-up", "type": None, "data": None}


def test_a_body_that_is_none_of_ours_is_not_read(integrator: Api) -> None:
    with listening(integrator) as listener:
        answers = {length: answer(listener, length) for length in ("1000001", "-1", "x")}
    assert {length: said[:13] for length, said in answers.items()} == dict.fromkeys(answers, b"HTTP/1.1 413 ")


def answer(listener: Listening, length: str) -> bytes:
    """Announce a body of this length; return the answer."""
    port = int(listener.url.rpartition(":")[2].rstrip("/"))
    with socket.create_connection((ports.HOST, port), timeout=END_SECONDS_MAX) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        return connection.makefile("rb").read()


def test_a_message_is_passed_on_as_it_came_and_answered_as_its_receiver_did(
    integrator: Api, sink: Sinks, ann: Customer, bob: Customer
) -> None:
    inbox = sink.open(202)
    with listening(integrator, "--forward-to", inbox.url, "--event-type", "transfer.*") as listener:
        job = pay(integrator, ann, bob)
        assert listener.heard()["forwarded"] == 202
        assert inbox.of_job(job["id"]).is_signed_by(listener.secret)


def test_a_message_that_cannot_be_passed_on_will_come_again(integrator: Api, ann: Customer, bob: Customer) -> None:
    nobody = f"http://{ports.HOST}:{ports.free()}/"
    with listening(integrator, "--forward-to", nobody, "--event-type", "transfer.*") as listener:
        pay(integrator, ann, bob)
        assert listener.heard()["forwarded"] == 502
        assert f"{nobody} does not answer" in listener.said()


def test_a_reader_that_goes_away_ends_it(integrator: Api, ann: Customer, bob: Customer) -> None:
    with started("--api-url", str(integrator.http.base_url), "--key", integrator.token) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stderr.readline().split()[3].rstrip(",")
        pay(integrator, ann, bob)
        assert json.loads(process.stdout.readline())["verified"] is True
        process.stdout.close()
        pay(integrator, ann, bob)
        assert process.wait(END_SECONDS_MAX) == 0
    assert endpoints(integrator, url) == []


def test_without_options_it_listens_to_the_system_of_this_folder(integrator: Api, tmp_path: Path) -> None:
    demo = {"api_url": str(integrator.http.base_url), "operator_key": integrator.token}
    (tmp_path / "demo.json").write_text(json.dumps(demo))
    with started(DATA_DIR=str(tmp_path)) as process:
        listener = Listening(process)
        assert len(endpoints(integrator, listener.url)) == 1
        assert listener.end(signal.SIGTERM) == 0


def test_without_any_system_it_says_what_to_do(tmp_path: Path) -> None:
    expected = (
        f"tekana: {tmp_path}/demo.json does not say where the API is: start `make run`, or name --api-url and --key"
    )
    assert ended(DATA_DIR=str(tmp_path)) == (1, f"{expected}\n")


def test_an_api_that_is_not_there_is_said_in_a_sentence() -> None:
    url = f"http://{ports.HOST}:{ports.free()}"
    status, said = ended("--api-url", url, "--key", "tk_x")
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith(f"tekana: {url} does not answer: ")


def test_a_refusal_is_said_in_a_sentence(anyone: Api, integrator: Api) -> None:
    url = str(anyone.http.base_url).rstrip("/")
    prefix = f"tekana: {url} refuses POST /v1/webhook-endpoints: "
    unknown = ended("--api-url", url, "--key", "tk_unknown")
    pattern = ended("--api-url", url, "--key", integrator.token, "--event-type", "transfer.made")
    assert unknown == (1, f"{prefix}No credentials, or none that are valid.\n")
    assert pattern[0] == 1
    assert pattern[1].startswith(f"{prefix}event_types: 'transfer.made' is not an event type")


def test_an_api_that_sends_nothing_to_this_machine_is_said_in_a_sentence(
    stack: Stack, integrator: Api, tmp_path: Path
) -> None:
    with serving(stack.env, tmp_path / "log", WEBHOOK_ALLOW_LOOPBACK="false") as api:
        status, said = ended("--api-url", str(api.http.base_url), "--key", integrator.token)
    assert status == 1
    assert said.endswith(
        "it sends nothing to this machine; a development system does with WEBHOOK_ALLOW_LOOPBACK=true\n"
    )


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        said = ended("--api-url", "http://127.0.0.1:1", "--key", "tk_x", "--port", str(port))
    assert said == (1, f"tekana: cannot listen on port {port}: Address already in use\n")


def test_an_address_without_a_key_is_no_use() -> None:
    status, said = ended("--api-url", "http://127.0.0.1:1")
    assert status == 2
    assert "name --api-url and --key together, or neither" in said
