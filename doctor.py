"""`tekana doctor`: what is configured, what answers, what is missing, and how to mend it."""

import os
from collections.abc import Iterator

import httpx2
import msgspec
from celery.exceptions import CeleryError

import db.replica
import db.roles
import db.schema
import redis_clients
import safety
from db.engine import DatabaseError, transaction
from domain.jobs import Queue
from settings import Settings, SettingsError, settings

TIMEOUT_SECONDS = 2.0
WORKER = "python -m workers worker -Q {queue} -n {queue}@%h --concurrency 1 -E --without-gossip --without-mingle"
REMEDY_OF_A_ROLE = "use the role of .env.example, on a server whose commits are on disk"
NEEDED = {
    "database_url": "the owner's role, for migrations and audits",
    "database_api_url": "the API's role, tekana_api",
    "database_worker_url": "the workers' role, tekana_worker",
    "redis_url": "notices, cache and rates, and the queue unless BROKER_URL names another broker",
    "token_key": "signs access tokens",
    "index_key": "keys the blind indexes",
    "seal_key": "seals ledger entries",
    "pii_keys": "encrypts personal data",
    "webhook_keys": "encrypts webhook secrets",
    "flower_password": "who may see Flower",
}


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `remedy` is empty where all is well."""

    subject: str
    finding: str
    remedy: str = ""

    @property
    def is_well(self) -> bool:
        return not self.remedy


def examine_environment() -> Iterator[Diagnosis]:
    """Say what each process would refuse to start with; when that is nothing, look at everything else."""
    try:
        config = settings()
    except SettingsError as error:
        for reason in error.reasons:
            yield Diagnosis(subject="settings", finding=reason, remedy="mend it (see .env.example)")
        return
    yield from examine(config)


def examine(config: Settings) -> Iterator[Diagnosis]:
    """Look at everything, in the order in which it must work; without its settings nothing can be asked."""
    configured = list(_settings(config))
    yield from configured
    if all(one.is_well for one in configured):
        for look in (_flower, _schema, _roles, _replica, _redis, _api, _workers):
            yield from look(config)


def _settings(config: Settings) -> Iterator[Diagnosis]:
    for name, purpose in NEEDED.items():
        variable = name.upper()
        if getattr(config, name):
            yield Diagnosis(subject=variable, finding="set")
        else:
            yield Diagnosis(subject=variable, finding=f"not set: {purpose}", remedy="set it (see .env.example)")


def _flower(config: Settings) -> Iterator[Diagnosis]:
    """Say what Flower would refuse to start with; how it is started, `--read-only` or not, nobody else can see."""
    subject, own = "FLOWER_BASIC_AUTH", f"{config.flower_user}:{config.flower_password}"
    environment = {subject: os.environ.get(subject, own)}
    found = list(safety.of_flower(["--read-only"], environment, is_production=config.is_production))
    for sentence in found:
        yield Diagnosis(subject=subject, finding=sentence, remedy="set it to FLOWER_USER:FLOWER_PASSWORD")
    if not found:
        yield Diagnosis(subject=subject, finding="lets nobody in without a password")


def _schema(config: Settings) -> Iterator[Diagnosis]:
    try:
        with transaction(config.database_url) as tx:
            current, newest = db.schema.revisions(tx)
    except DatabaseError as error:
        yield Diagnosis(subject="database", finding=_short(error), remedy="start PostgreSQL, or mend DATABASE_URL")
        return
    if current == newest:
        yield Diagnosis(subject="schema", finding=f"at {current}, the newest")
    else:
        yield Diagnosis(subject="schema", finding=f"at {current}, not {newest}", remedy="tekana migrate")


def _roles(config: Settings) -> Iterator[Diagnosis]:
    for name, side in (("database_api_url", db.roles.Side.API), ("database_worker_url", db.roles.Side.WORKER)):
        try:
            found = db.roles.complaints(config, name, side)
        except DatabaseError as error:
            yield Diagnosis(subject=name.upper(), finding=_short(error), remedy="tekana migrate sets its password")
            continue
        for sentence in found:
            yield Diagnosis(subject=name.upper(), finding=sentence, remedy=REMEDY_OF_A_ROLE)
        if not found:
            yield Diagnosis(subject=name.upper(), finding="answers, with no more rights than it needs")


def _replica(config: Settings) -> Iterator[Diagnosis]:
    if not config.database_read_url:
        return
    subject, remedy = "DATABASE_READ_URL", "name a streaming replica; until then reads go to the primary"
    try:
        found = db.roles.complaints(config, "database_read_url", db.roles.Side.API)
        with transaction(config.database_read_url) as tx:
            shown = db.replica.replayed(tx)
        with transaction(config.database_api_url) as tx:
            written = db.replica.written(tx)
    except DatabaseError as error:
        yield Diagnosis(subject=subject, finding=_short(error), remedy=remedy)
        return
    for sentence in found:
        yield Diagnosis(subject=subject, finding=sentence, remedy=REMEDY_OF_A_ROLE)
    if found:
        return
    if shown is None or not shown.is_of_the_same_history(written):
        yield Diagnosis(subject=subject, finding="does not follow the primary", remedy=remedy)
    else:
        behind = max(written.position - shown.position, 0)
        yield Diagnosis(subject=subject, finding=f"follows the primary, {behind} bytes behind")


def _redis(config: Settings) -> Iterator[Diagnosis]:
    try:
        with redis_clients.connect(config.redis_url, timeout_seconds=TIMEOUT_SECONDS) as client:
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except Exception as error:  # noqa: BLE001 - another server may answer there, and anything
        yield Diagnosis(subject="redis", finding=_short(error), remedy="start Redis, or mend REDIS_URL")
        return
    if policy == "noeviction":
        yield Diagnosis(subject="redis", finding="answers, evicts nothing")
    else:
        yield Diagnosis(subject="redis", finding=f"evicts: {policy}", remedy="set maxmemory-policy noeviction")


def _api(config: Settings) -> Iterator[Diagnosis]:
    url = f"http://{config.api_host}:{config.api_port}/health/ready"
    try:
        answer = httpx2.get(url, timeout=TIMEOUT_SECONDS, trust_env=False)
    except httpx2.HTTPError as error:
        yield Diagnosis(subject="api", finding=f"{url}: {_short(error)}", remedy="start it: python -m api")
        return
    remedy = "" if answer.status_code == 200 else "see what its log says"
    yield Diagnosis(subject="api", finding=f"{url}: {answer.text}", remedy=remedy)


def _workers(_: Settings) -> Iterator[Diagnosis]:
    from workers.app import app  # noqa: PLC0415 - reads the settings, which may be what is wrong
    from workers.broker import ERRORS  # noqa: PLC0415 - likewise

    try:
        queues = app.control.inspect(timeout=TIMEOUT_SECONDS).active_queues() or {}
    except (CeleryError, *ERRORS) as error:
        yield Diagnosis(subject="workers", finding=_short(error), remedy="start the broker first")
        return
    served = {queue["name"]: worker for worker, served in queues.items() for queue in served}
    for queue in Queue:
        if worker := served.get(queue.value):
            yield Diagnosis(subject=f"queue {queue}", finding=f"served by {worker}")
        else:
            remedy = f"start its worker: {WORKER.format(queue=queue)}"
            yield Diagnosis(subject=f"queue {queue}", finding="no worker answers", remedy=remedy)


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
