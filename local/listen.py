"""`tekana webhooks listen`: a receiver on a developer's machine, registered for as long as it runs.

One line of JSON for each message goes to standard output; what is for people goes to standard error.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import httpx2
import msgspec

from domain.webhooks import CreatedWebhookEndpoint
from local.receiver import Receiver, tell

ENDPOINTS = "/v1/webhook-endpoints"
REQUEST_SECONDS_MAX = 10.0  # The API answers within milliseconds, on a busy machine within seconds.


class Options(msgspec.Struct, frozen=True, kw_only=True):
    api_url: str
    key: str
    event_types: Sequence[str]
    port: int = 0  # 0 chooses a free one.
    forward_to: str | None = None


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The part of `demo.json` that says where `make run` serves, and a key for it."""

    api_url: str
    operator_key: str


class Problem(msgspec.Struct, frozen=True):
    """The part of an RFC 9457 body that a person acts on."""

    detail: str
    errors: list[dict[str, str]] = []


def listen(options: Options) -> None:
    """Register, print what comes until SIGINT, SIGTERM or SIGHUP, and remove the endpoint again.

    Raises:
        SystemExit: with a sentence, when the port is taken, or the API is not there or refuses.

    """
    with _receiver(options) as receiver:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: receiver.stopped.set())
        with _registered(options, receiver.url) as endpoint:
            receiver.secret = endpoint.secret
            threading.Thread(target=receiver.serve_forever, daemon=True).start()
            tell(f"listening at {receiver.url}, signed with {endpoint.secret} (Ctrl-C ends it)")
            receiver.stopped.wait()
            receiver.shutdown()


def running(data_dir: Path) -> Running:
    """Return where `make run` serves.

    Raises:
        SystemExit: there is no sign of it.

    """
    path = data_dir / "demo.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Running)
    except (OSError, msgspec.MsgspecError):
        _refuse(f"{path} does not say where the API is: start `make run`, or name --api-url and --key")


def _receiver(options: Options) -> Receiver:
    try:
        return Receiver(options.port, forward_to=options.forward_to)
    except OSError as error:
        _refuse(f"cannot listen on port {options.port}: {error.strerror}")


@contextlib.contextmanager
def _registered(options: Options, url: str) -> Iterator[CreatedWebhookEndpoint]:
    """Keep an endpoint with the API for as long as the block runs."""
    body = {"url": url, "event_types": list(options.event_types), "description": "tekana webhooks listen"}
    answer = _ask(options, "POST", ENDPOINTS, body)
    endpoint = msgspec.json.decode(answer.content, type=CreatedWebhookEndpoint)
    try:
        yield endpoint
    finally:
        _ask(options, "DELETE", f"{ENDPOINTS}/{endpoint.id}")


def _ask(options: Options, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
    """Send a request to the API.

    Raises:
        SystemExit: it is not there, or refuses.

    """
    headers = {"Authorization": f"Bearer {options.key}"}
    url = options.api_url.rstrip("/") + path
    try:
        # No proxy of the environment stands between us and this machine.
        answer = httpx2.request(method, url, headers=headers, json=body, timeout=REQUEST_SECONDS_MAX, trust_env=False)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        _refuse(f"{options.api_url} does not answer: {error}")
    if not answer.is_success:
        _refuse(f"{options.api_url} refuses {method} {path}: {_reason(answer)}")
    return answer


def _reason(answer: httpx2.Response) -> str:
    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except msgspec.MsgspecError:
        return f"status {answer.status_code}"
    if any(error.get("field") == "url" for error in problem.errors):
        return "it sends nothing to this machine; a development system does with WEBHOOK_ALLOW_LOOPBACK=true"
    return problem.detail


def _refuse(sentence: str) -> NoReturn:
    raise SystemExit(f"tekana: {sentence}")
