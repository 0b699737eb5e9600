"""The access log: a line for each answer, in the words of the routes and never in the client's."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
import pytest

from api.access_log import PIPE_BYTES, PROBES, GatheredOutput
from local.stack import Stack
from logs import STANDARD_OUTPUT
from tests.api.clients import Api, Customer, transfer
from tests.api.processes import serving
from tests.attacks import raw
from tests.flows.receivers import wait_until

SECRET = "planted-in-a-request"


class Logging(NamedTuple):
    """An API process and the lines of its access log."""

    api: Api
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        found = [msgspec.json.decode(line) for line in self.log.read_bytes().splitlines()]
        return [line for line in found if line["event"] == "request"]

    def line(self, do: Callable[[], Any]) -> dict[str, Any]:
        """Return the one line of what is done; a keep-alive connection hears of an answer when it is logged."""
        before = len(self.lines())
        do()
        self.api.get("/health/live")
        [line] = self.lines()[before:]
        return line


@pytest.fixture(scope="module")
def logging(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logging]:
    log = tmp_path_factory.mktemp("log") / "api.log"
    with serving(stack.env, log, LOG_FORMAT="json") as api:
        yield Logging(api, log)


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", f"/v1/wallets?q={SECRET}", "/v1/wallets", 401),
        ("GET", f"/v1/{SECRET}", "unknown", 404),
        ("GET", f"/v1/wallets/{SECRET}", "unknown", 404),
        ("POST", f"/v1/auth/login?q={SECRET}", "/v1/auth/login", 415),
        ("GET", f"/v1/jobs/{UUID(int=1)}?q={SECRET}", "/v1/jobs/{job_id}", 401),
    ],
)
def test_an_answer_is_a_line_with_its_route_and_nothing_of_the_clients(
    logging: Logging, *, method: str, path: str, route: str, status: int
) -> None:
    line = logging.line(lambda: logging.api.send(method, path, headers={"User-Agent": SECRET}, content=SECRET))

    assert (line["level"], line["method"], line["route"], line["status"]) == ("info", method, route, status)
    assert SECRET not in logging.log.read_text()
    assert 0 < line["duration_ms"] < 10_000


def test_a_line_says_who_called_and_which_job_came_of_it(logging: Logging, ann: Customer, bob: Customer) -> None:
    caller, key = logging.api.holding(ann.access_token), str(uuid4())
    body = transfer(ann.wallet_id, bob.wallet_id, 5)
    answers = []

    first = logging.line(lambda: answers.append(caller.post("/v1/transfers", body, key=key)))
    again = logging.line(lambda: answers.append(caller.post("/v1/transfers", body, key=key)))

    assert first["caller"] == again["caller"] == f"customer:{ann.id}"
    assert first["job_id"] == again["job_id"] == answers[0].json()["id"]
    assert [first["request_id"], again["request_id"]] == [answer.headers["x-request-id"] for answer in answers]


def test_a_line_of_a_jobs_route_says_which_job_it_was(logging: Logging, ann: Customer) -> None:
    caller = logging.api.holding(ann.access_token)

    line = logging.line(lambda: caller.get(f"/v1/jobs/{ann.registration_job_id}"))

    assert line["job_id"] == ann.registration_job_id


def test_a_request_id_of_the_load_balancer_is_kept(logging: Logging) -> None:
    line = logging.line(lambda: logging.api.get("/v1/wallets", headers={"X-Request-Id": "from-the-balancer"}))

    assert line["request_id"] == "from-the-balancer"
    assert "caller" not in line


@pytest.mark.parametrize("path", ["/v1/transfers", "/v1/auth/login"])
@pytest.mark.parametrize("ended", [b"", b"x\r\n"], ids=["goes", "sends no chunk"])
def test_who_never_ends_the_body_is_told_so_or_has_gone_and_it_is_no_error_of_ours(
    logging: Logging, ann: Customer, *, path: str, ended: bytes
) -> None:
    """Both ways to a handler: the short one takes a body of known size alone."""
    kind = b"Transfer-Encoding: chunked" if ended else b"Content-Length: 90"
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n"
    counted = f'tekana_http_requests_total{{method="POST",route="{path}",status="408"}} '
    before = count(logging.api, counted)

    with raw.connected(str(logging.api.http.base_url)) as connection:
        connection.sendall(head % (path.encode(), ann.access_token.encode(), kind))
        assert raw.heard(connection, 0.3) is None  # It waits for the body by then.
        connection.sendall(ended)
        if ended:
            assert raw.rest(connection).startswith(b"HTTP/1.1 400")

    assert wait_until(lambda: count(logging.api, counted) == before + 1)
    assert wait_until(lambda: (path, 408) in [(line["route"], line["status"]) for line in logging.lines()])
    said = logging.log.read_text()
    assert [word for word in ("request failed", "Traceback", '"status":500') if word in said] == []


def count(anyone: Api, counted: str) -> float:
    found = [line for line in anyone.get("/metrics").text.splitlines() if line.startswith(counted)]
    return float(found[0].removeprefix(counted)) if found else 0.0


@pytest.mark.parametrize("path", sorted(PROBES))
def test_a_probe_is_no_line(logging: Logging, path: str) -> None:
    before = len(logging.lines())

    assert logging.api.get(path).is_success

    assert len(logging.lines()) == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"LOG_FORMAT": "text"}, ["request ", "route=/v1/wallets"]),
        ({"LOG_FORMAT": "json", "LOG_LEVEL": "debug"}, ['"route":"/v1/wallets"']),
    ],
)
def test_a_line_looks_like_all_others_of_its_log(
    stack: Stack, tmp_path: Path, changes: dict[str, str], said: list[str]
) -> None:
    with serving(stack.env, tmp_path / "api.log", **changes) as api:
        api.get("/v1/wallets")

    log = (tmp_path / "api.log").read_text()
    assert [one for one in said if one not in log] == []


@pytest.mark.parametrize(
    "changes", [{"ACCESS_LOG": "false"}, {"LOG_LEVEL": "warning"}], ids=lambda one: next(iter(one))
)
def test_whoever_wants_no_access_log_has_none(stack: Stack, tmp_path: Path, changes: dict[str, str]) -> None:
    with serving(stack.env, tmp_path / "api.log", LOG_FORMAT="json", **changes) as api:
        api.get("/v1/wallets")

    assert '"request"' not in (tmp_path / "api.log").read_text()


@pytest.mark.parametrize(
    ("lines", "pieces"),
    [
        ([1], [1]),
        ([100] * 40, [40]),
        ([300] * 40, [13, 13, 13, 1]),
        ([PIPE_BYTES - 1, 1], [1, 1]),
        ([PIPE_BYTES - 3, 1, 1], [2, 1]),
        ([1, 2 * PIPE_BYTES, 1], [1, 1, 1]),
    ],
    ids=str,
)
def test_lines_of_one_turn_are_written_whole_in_pieces_that_a_pipe_takes_at_once(
    monkeypatch: pytest.MonkeyPatch, *, lines: list[int], pieces: list[int]
) -> None:
    written: list[bytes] = []
    write = os.write

    def recorded(descriptor: int, data: bytes) -> int:
        if descriptor != STANDARD_OUTPUT:
            return write(descriptor, data)
        written.append(data)
        return len(data)

    monkeypatch.setattr(os, "write", recorded)
    texts = [str(place % 10).encode() * length for place, length in enumerate(lines)]

    async def turn() -> None:
        output = GatheredOutput()
        for one in texts:
            output.write(one)
        await asyncio.sleep(0)

    asyncio.run(turn())
    assert b"".join(written).splitlines() == texts
    assert [piece.count(b"\n") for piece in written] == pieces
    assert [piece for piece in written if len(piece) > PIPE_BYTES and piece.count(b"\n") > 1] == []
