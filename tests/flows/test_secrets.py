"""Secrets that are planted all over a running system are found where they must be stored, and nowhere else.

Looked through are the logs of all processes and servers, what Redis was told and holds, Flower, traces, and a dump.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pytest
from sqlalchemy import Engine, create_engine, text

from local.environment import CONFIDENTIAL
from local.processes import QUEUES
from local.stack import Stack
from tests.api.clients import Api, connect, deposit, log_in, transfer
from tests.conftest import migrated, reachable_folder
from tests.flows.planted import NOWHERE, PLANTS, Plant, is_in, word
from tests.flows.receivers import Message, Receiver, Receivers, wait_until
from tests.flows.witnesses import collecting, dump, keys_of_redis, monitoring, pages_of_flower
from tests.flows.world import WEBHOOK_SETTINGS

PROCESSES = {"api", "sweeper", "beat", "flower", *(f"worker-{queue}" for queue in QUEUES)}
RATE = "10000"  # Never met, but counted in Redis as in production.
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SETTINGS = {
    "LOG_FORMAT": "json",
    "TRACING": "true",
    "OTEL_BSP_SCHEDULE_DELAY": "100",  # Milliseconds.
    "TOKEN_KEYS_ACCEPTED": "a key of tokens that was replaced a minute ago",
    "COHORT_MEMBERS": "somebody-of-the-pilot@example.com",
    **{f"{what}_PER_MINUTE_MAX": RATE for what in ("POSTS", "LOGINS", "REGISTRATIONS")},
    **WEBHOOK_SETTINGS,
}
# Rules of the database that nothing in the project breaks, so that rows are refused and quoted.
REFUSING = """
    ALTER TABLE jobs ADD CONSTRAINT planted CHECK (idempotency_key <> '{refused}');
    ALTER TABLE transactions ADD CONSTRAINT planted CHECK (description <> '{failing}');
    CREATE UNIQUE INDEX planted ON transactions (external_reference);
"""
LAST_ATTEMPT = text("""
    UPDATE jobs SET attempts = 7, due_at = now() - interval '2 seconds' WHERE id = :id AND state = 'queued'
""")


class Evidence(NamedTuple):
    """What was found in each place, and the secrets that the system itself made in the course of the story."""

    places: dict[str, bytes]
    made: dict[str, str]
    job_id: str  # Of a transfer, in the trace that its caller began.
    spans: list[tuple[str, str, str]]

    def holding(self, secret: str) -> set[str]:
        return {place for place, content in self.places.items() if is_in(secret, content)}

    def lines(self, process: str) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.places[f"{process}.log"].splitlines()]


@pytest.fixture(scope="module")
def evidence() -> Iterator[Evidence]:
    with contextlib.ExitStack() as running:
        folder = running.enter_context(reachable_folder())
        collector = running.enter_context(collecting())
        with migrated(folder, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **SETTINGS) as stack:
            stack.start_processes()
            stack.wait_ready()
            story = Story(stack)
            with monitoring(stack.redis_url) as commands, Receivers() as receivers:
                story.play(receivers)
                flower = pages_of_flower(stack)
            places = {"redis": b"\n".join([*commands, keys_of_redis(stack.redis_url)]), "flower": flower}
            places |= dump(story.owner)
            story.close()
        places |= {path.name: path.read_bytes() for path in (folder / "log").iterdir()}
        places["traces"] = b"\n".join(collector.bodies)
        yield Evidence(places, story.made | _settings_of(stack), story.job_id, collector.spans())


class Story:
    """Everything that callers, receivers and the database can do to make the system speak."""

    def __init__(self, stack: Stack) -> None:
        self.owner: Engine = create_engine(stack.database_url)
        self.made: dict[str, str] = {}
        self.job_id = ""
        self._stack = stack
        self._http = connect(stack.api_url)
        self._anyone = Api(self._http)
        printed = stack.command("keys", "create", "--scope", "*", "--name", "operator", "--json")
        self.made |= {name: value for name, value in msgspec.json.decode(printed).items() if name != "id"}
        self._operator = self._anyone.holding(self.made["key"])

    def close(self) -> None:
        self._http.close()
        self.owner.dispose()

    def play(self, receivers: Receivers) -> None:
        customer, wallet_id = self._register_and_log_in()
        self._send_nonsense(customer)
        endpoint = self._listen(receivers)
        self._move(customer, wallet_id, callback=receivers.open(_answer_in_so_many_words))
        with self.owner.begin() as connection:
            connection.execute(text(REFUSING.format(refused=word(REFUSED), failing=word("row that fails"))))
        self._be_refused(wallet_id)
        self._fail(wallet_id)
        self._collide(wallet_id)
        assert wait_until(lambda: self._is_disabled(endpoint))

    def _register_and_log_in(self) -> tuple[Api, str]:
        body = {
            "full_name": word("full name"),
            "email": word("e-mail"),
            "national_id": word("national id"),
            "password": word("password"),
            "phone": f"+250 {word('phone')}",
            "wallet": {"currency": "RWF"},
        }
        registered = self._anyone.finished("/v1/customers", body, key=word("idempotency key"))
        self._anyone.finished("/v1/customers", body)  # Rejected: they exist by now.
        for email, password in (("e-mail", "wrong password"), ("e-mail of nobody", "password")):
            refused = self._anyone.post("/v1/auth/login", {"email": word(email), "password": word(password)})
            assert refused.status_code == 401
        first = log_in(self._anyone, word("e-mail"), word("password"))
        again = self._anyone.post("/v1/auth/refresh", {"refresh_token": first["refresh_token"]}).json()
        stolen = self._anyone.post("/v1/auth/refresh", {"refresh_token": first["refresh_token"]})
        assert stolen.status_code == 401
        last = log_in(self._anyone, word("e-mail"), word("password"))
        for order, tokens in (("first", first), ("second", again), ("third", last)):
            self.made |= {f"{order} {name}": tokens[name] for name in ("access_token", "refresh_token")}
        return self._anyone.holding(last["access_token"]), registered["result"]["wallet_id"]

    def _send_nonsense(self, customer: Api) -> None:
        headers = {"X-Whatever": word("header"), "Cookie": f"session={word('cookie')}", "User-Agent": word("header")}
        wrong_types = {"source_wallet_id": word("value of the wrong type"), "amount": word("value of the wrong type")}
        answers = [
            customer.post("/v1/transfers", f'{{"description": "{word("body that is no JSON")}'.encode()),
            customer.post("/v1/transfers", {word("unknown field"): word("unknown field")}),
            customer.post("/v1/transfers", wrong_types, headers=headers),
            customer.post("/v1/deposits", deposit(word("value of the wrong type"))),
            customer.get(f"/v1/{word('path')}", {"q": word("query")}, headers=headers),
            customer.get(f"/v1/wallets/{word('path')}", {"cursor": word("query")}),
            customer.get("/v1/transactions", {"cursor": word("query")}),
            customer.send("PUT", f"/v1/wallets?q={word('query')}", content=word("body of a route that is not there")),
            customer.post("/v1/no/such", word("body of a route that is not there")),
            self._anyone.holding(word("token that is none")).get("/v1/wallets"),
            self._anyone.get("/v1/wallets", headers={"Authorization": f"Basic {word('token that is none')}"}),
        ]
        assert all(400 <= answer.status_code < 500 for answer in answers)

    def _listen(self, receivers: Receivers) -> Receiver:
        """Register an endpoint whose receiver repeats what it is sent, and wants no more of it."""
        receiver = receivers.open(_repeat)
        body = {"url": f"{receiver.url}?token={word('endpoint')}", "event_types": ["transfer.*"]}
        made = self._operator.post("/v1/webhook-endpoints", body).json()
        self.made["webhook secret"] = made["secret"]
        receiver.endpoint_id = made["id"]
        return receiver

    def _move(self, customer: Api, wallet_id: str, callback: Receiver) -> None:
        url = f"{callback.url}?token={word('callback')}"
        paid_in = deposit(wallet_id, 500, description=word("description"), callback_url=url)
        assert self._operator.finished("/v1/deposits", paid_in)["state"] == "succeeded"
        opened = customer.succeeded("/v1/wallets", {"currency": "RWF", "type": "saving"})["wallet_id"]
        said = {"description": word("description"), "metadata": {"note": word("metadata")}}
        headers = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01", "Prefer": "wait=15"}
        done = customer.post("/v1/transfers", transfer(wallet_id, opened, 5, **said), headers=headers).json()
        assert done["state"] == "succeeded", done
        self.job_id = done["id"]
        assert wait_until(lambda: bool(callback.messages))

    def _be_refused(self, wallet_id: str) -> None:
        """Let the database refuse the API's own INSERT."""
        refused = self._operator.post("/v1/deposits", deposit(wallet_id, 5), key=word(REFUSED))
        assert refused.status_code == 500

    def _fail(self, wallet_id: str) -> None:
        """Let a job fail for good, twice; how it is tried eight times is tried elsewhere."""
        body = deposit(wallet_id, 5, description=word("row that fails"))
        job = self._operator.post("/v1/deposits", body).json()
        assert wait_until(lambda: self._is_over(job["id"], hasten=True))
        self._stack.command("jobs", "requeue", job["id"])  # For which the sweeper rings.
        assert wait_until(lambda: self._is_over(job["id"], hasten=True))
        assert self._operator.get(f"/v1/jobs/{job['id']}").json()["state"] == "failed"

    def _collide(self, wallet_id: str) -> None:
        """Let a worker's task end with an error of the database, until the rule that it breaks is gone."""
        body = deposit(wallet_id, 5, external_reference=word("row that is not unique"))
        assert self._operator.finished("/v1/deposits", body)["state"] == "succeeded"
        job = self._operator.post("/v1/deposits", body).json()
        log = self._stack.data_dir / "log" / "worker-transactions.log"
        assert wait_until(lambda: b"raised unexpected" in log.read_bytes())
        with self.owner.begin() as connection:
            connection.execute(text("DROP INDEX planted"))
        assert wait_until(lambda: self._is_over(job["id"]))

    def _is_over(self, job_id: str, *, hasten: bool = False) -> bool:
        if hasten:
            with self.owner.begin() as connection:
                connection.execute(LAST_ATTEMPT, {"id": job_id})
        return bool(self._operator.get(f"/v1/jobs/{job_id}").json()["state"] != "queued")

    def _is_disabled(self, endpoint: Receiver) -> bool:
        found = self._operator.get(f"/v1/webhook-endpoints/{endpoint.endpoint_id}").json()
        return found["disabled_reason"] is not None


REFUSED = "row that the API's role may not write"


async def _repeat(message: Message, writer: asyncio.StreamWriter) -> None:
    body = word("answer of a receiver").encode() + repr(message.headers).encode() + message.body
    writer.write(b"HTTP/1.1 410 Gone\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()


async def _answer_in_so_many_words(_: Message, writer: asyncio.StreamWriter) -> None:
    body = word("answer of a receiver").encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()


HELD = sorted(CONFIDENTIAL - {"BROKER_URL", "DATABASE_READ_URL"})  # These two lead to servers that are not there.


def _settings_of(stack: Stack) -> dict[str, str]:
    """Return the passwords and keys that the system was started with."""
    found = {}
    for name in HELD:
        value = stack.env[name]
        found[name] = (urlsplit(value).password or "") if name.endswith("URL") else value.rpartition(":")[2]
    return found


MADE = [
    "key",
    "callback_secret",
    "webhook secret",
    *(f"{order} {name}" for order in ("first", "second", "third") for name in ("access_token", "refresh_token")),
    *HELD,
]


@pytest.mark.parametrize("name", [*PLANTS, *MADE])
def test_a_secret_is_found_where_it_must_be_stored_and_nowhere_else(evidence: Evidence, name: str) -> None:
    planted = PLANTS.get(name) or Plant(evidence.made[name], NOWHERE)

    assert len(planted.text) >= 8
    assert evidence.holding(planted.text) == planted.places


def test_what_is_no_secret_is_found_everywhere(evidence: Evidence) -> None:
    """A search that finds nothing proves nothing: this one looks for an id that all may know, in the same way."""
    found = evidence.holding(evidence.job_id)

    logs = {"api.log", "worker-transactions.log"}
    assert found >= {"redis", "flower", "traces", "jobs.id", "transactions.id", "events.job_id", *logs}


@pytest.mark.parametrize("process", sorted(PROCESSES))
def test_every_line_of_a_process_is_an_object_from_the_first_to_the_last(evidence: Evidence, process: str) -> None:
    lines = evidence.lines(process)

    assert all({"timestamp", "level", "event"} <= line.keys() for line in lines)
    assert [lines[0]["event"], lines[-1]["event"]] == ["started", "stopped"]
    assert {line["process"] for line in (lines[0], lines[-1])} == {process}


@pytest.mark.parametrize(
    ("process", "event", "names"),
    [
        ("api", "request", {"method", "route", "status", "duration_ms", "request_id", "caller", "job_id", "trace_id"}),
        ("api", "request failed", {"route", "request_id", "caller", "exception"}),
        ("worker-transactions", "batch settled", {"queue", "lease_id", "jobs", "first_job_id", "seconds", "outcomes"}),
        ("worker-transactions", "batch settled", {"trace_id", "span_id"}),
        ("worker-transactions", "batch failed", {"queue", "lease_id", "first_job_id", "exception"}),
        ("worker-webhooks", "webhook attempt", {"delivery_id", "endpoint_id", "status", "duration_ms", "trace_id"}),
        ("worker-webhooks", "endpoint disabled", {"endpoint_id", "reason"}),
        ("sweeper", "rang again", {"queue", "jobs", "first_id"}),
        ("sweeper", "swept", {"rung"}),
    ],
)
def test_what_a_process_does_is_told_with_what_it_is_found_by(
    evidence: Evidence, process: str, event: str, names: set[str]
) -> None:
    told = [line for line in evidence.lines(process) if line["event"] == event]

    assert [line for line in told if names <= {name for name, value in line.items() if value is not None}] != []


def test_a_trace_that_a_caller_began_leads_through_all_processes(evidence: Evidence) -> None:
    found = {(service, name) for service, trace_id, name in evidence.spans if trace_id == TRACE_ID}

    assert found >= {
        ("tekana-api", "POST /v1/transfers"),
        ("tekana-api", "accept"),
        ("tekana-api", "INSERT jobs"),
        ("tekana-worker-transactions", "settle"),
        ("tekana-worker-transactions", "INSERT transactions"),
        ("tekana-worker-webhooks", "webhook attempt"),
    }
