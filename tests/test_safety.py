"""What production does not start with: every reason by name, all at once, and none of them repeats a secret."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, text

import db.roles
import doctor
import safety
import settings
from local.environment import CONFIDENTIAL
from local.stack import Stack
from settings import Settings, SettingsError

ROOT = Path(__file__).parents[1]
END_SECONDS_MAX = 30
KEY = "6f1c2ab94de1f0d87755e3a9c4b2d1e0"
# One environment with everything that a hurried installation gets wrong.
CARELESS = {
    "API_PORT": "eighty",
    "TOKEN_KEY": "short",
    "INDEX_KEY": KEY,
    "SEAL_KEY": KEY,
    "PII_KEYS": "k1:c2hvcnQ=",
    "REDIS_URL": "redis://queue/0",
    "BROKER_URL": "amqp://guest:guest@rabbit/v",
    "FLOWER_PASSWORD": "admin",
    "WEBHOOK_ALLOW_LOOPBACK": "true",
    "TRUSTED_PROXIES": "0.0.0.0/0",
    "COHORT_MEMBERS": "nobody",
    "LOGINS_PER_MINUTE_MAX": "0",
    "LOGIN_FAILURES_MAX": "0",
    "LITESTAR_DEBUG": "1",
}
REASONS = [
    "environment: Expected `int`",
    "not set: DATABASE_API_URL",
    "TOKEN_KEY has 5 bytes",
    "PII_KEYS: not `id:base64 of 32 bytes`",
    "COHORT_MEMBERS: ",
    "TRUSTED_PROXIES: ",
    "FLOWER_PASSWORD holds a default secret",
    "TOKEN_KEY repeats a few characters",
    "INDEX_KEY is the same as SEAL_KEY",
    "FLOWER_PASSWORD has a password below 12 characters",
    "BROKER_URL has a password below 12 characters",
    "REDIS_URL has no password",
    "BROKER_URL has the password that RabbitMQ is installed with",
    "WEBHOOK_ALLOW_LOOPBACK ",
    "LOGINS_PER_MINUTE_MAX is 0",
    "LOGIN_FAILURES_MAX is 0",
    "LITESTAR_DEBUG is set",
]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TOKEN_KEY", "ChangeMe" * 4),
        ("INDEX_KEY", "please-replace_me-please-replace_me"),
        ("SEAL_KEY", "a placeholder of thirty-two bytes"),
        ("PII_KEYS", "k1:changeme"),
        ("REDIS_URL", "redis+sentinel://:6f1c2ab94de1@host/queue?sentinel_password=changeme"),
        ("BROKER_URL", "amqp://user:changeme@rabbit"),
        ("WEBHOOK_KEYS", "k1:change-me"),
        ("FLOWER_PASSWORD", "admin"),
        ("FLOWER_PASSWORD", "Password1"),
        ("DATABASE_URL", "postgresql+psycopg://postgres:postgres@db/tekana"),
        ("DATABASE_API_URL", "postgresql+psycopg://tekana_api:change_me@db/tekana"),
        ("DATABASE_WORKER_URL", "postgresql+psycopg://tekana_worker:tekana@db/tekana"),
        ("REDIS_URL", "redis://:secret@queue:6379/0"),
    ],
)
def test_production_refuses_a_default_secret_by_name_and_does_not_repeat_it(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable} holds a default secret") as caught:
        settings.read({variable: value})
    assert value not in str(caught.value)


def test_every_secret_is_looked_at_for_defaults() -> None:
    looked_at = {*safety.SECRETS, *safety.KEY_RINGS, *safety.URLS, "flower_password"}
    addresses = {"COHORT_MEMBERS"}  # Of customers: personal, but no secret that somebody could have left as it was.
    assert {name.upper() for name in looked_at} == CONFIDENTIAL - addresses


def test_all_reasons_come_at_once_and_repeat_no_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read(CARELESS, "database_api_url")
    reasons = caught.value.reasons
    assert [reason for reason, begin in zip(reasons, REASONS, strict=True) if not reason.startswith(begin)] == []
    assert [one for one in (KEY, "guest:guest", "short", "admin", "c2hv") if one in str(caught.value)] == []


def test_what_works_and_is_only_unsafe_is_allowed_in_development() -> None:
    limits = ("LOGINS_PER_MINUTE_MAX", "LOGIN_FAILURES_MAX")
    sound = {name: CARELESS[name] for name in ("REDIS_URL", "BROKER_URL", "FLOWER_PASSWORD", *limits)}
    loose = {"WEBHOOK_ALLOW_LOOPBACK": "true", "LITESTAR_DEBUG": "1", "INDEX_KEY": KEY, "SEAL_KEY": KEY}
    assert settings.read(sound | loose | {"MODE": "development"}).mode == "development"


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"TOKEN_KEY": "k" * 32}, "TOKEN_KEY repeats"),
        ({"TOKEN_KEYS_ACCEPTED": "kj" * 16}, "TOKEN_KEYS_ACCEPTED repeats"),
        ({"TOKEN_KEY": KEY, "INDEX_KEY": KEY}, "TOKEN_KEY is the same|INDEX_KEY is the same"),
        ({"DATABASE_API_URL": "postgresql+psycopg://tekana_api:b94de1f0d87@db/tekana"}, "DATABASE_API_URL has a passw"),
        (
            {"REDIS_URL": "redis+sentinel://:b94de1f0d877@host/q?sentinel_password=b94"},
            "REDIS_URL has a password below",
        ),
        *(({name: value}, f"{name} is set") for name in safety.LEFTOVERS for value in ("1", "true", "yes")),
        *(({name: value}, f"{name} is set") for name in safety.OF_PYTHON for value in ("1", "0", "off")),
    ],
)
def test_production_refuses_what_can_be_guessed_and_what_was_left_over(
    environment: dict[str, str], reason: str
) -> None:
    with pytest.raises(SettingsError, match=f"^({reason})"):
        settings.read(environment)


@pytest.mark.parametrize("value", ["", "0", "false", "False", "no", "off"])
def test_a_developers_switch_may_stand_there_switched_off(value: str) -> None:
    assert settings.read({"LITESTAR_DEBUG": value, "PYTHONDEVMODE": ""}).is_production


@pytest.mark.parametrize(
    ("arguments", "credentials", "reasons"),
    [
        (["--read-only"], "operator:b94de1f0d877", []),
        ([], "operator:b94de1f0d877", ["Flower is started without --read-only"]),
        (["--read-only"], "", ["FLOWER_BASIC_AUTH is not user:password"]),
        (["--read-only"], "operator:", ["FLOWER_BASIC_AUTH is not user:password"]),
        (["--read-only"], "operator:password1234", ["FLOWER_BASIC_AUTH has a default"]),
        ([], "operator:b94", ["Flower is started without", "FLOWER_BASIC_AUTH has a default"]),
    ],
)
def test_flower_shows_nothing_without_a_password_and_changes_nothing(
    arguments: list[str], credentials: str, reasons: list[str]
) -> None:
    found = list(safety.of_flower(arguments, {"FLOWER_BASIC_AUTH": credentials}, is_production=True))
    assert [one for one, begin in zip(found, reasons, strict=True) if not one.startswith(begin)] == []


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_server_that_a_power_cut_would_break_is_named(tx: Connection, name: str) -> None:
    shown: str = tx.execute(text(f"SHOW {name}")).scalar_one()
    assert (name in "".join(db.roles.undurable(tx))) is (shown == "off")


def test_production_refuses_the_owners_role_and_a_server_without_syncs(configured: Settings) -> None:
    production = msgspec.structs.replace(configured, mode="production", database_api_url=configured.database_url)
    with pytest.raises(SettingsError) as caught:
        db.roles.refuse_unsafe(production, {"database_api_url": db.roles.Side.API})
    found = caught.value.reasons
    assert [one for one in found if not one.startswith("DATABASE_API_URL: ")] == []
    assert "DATABASE_API_URL: the role tekana is a superuser; it could edit history" in found
    # The tests' own server leaves syncs to the kernel.
    assert "DATABASE_API_URL: fsync is off; a power cut could lose or break everything" in found


# What is started, with what, and how often it says why it does not.
PROCESSES = [
    (("api",), CARELESS, len(REASONS)),
    (("workers", "worker", "-Q", "wallets"), {"TOKEN_KEY": "short", "REDIS_URL": "redis://queue/0"}, 4),
    (("workers", "flower"), {"REDIS_URL": "redis://:b94de1f0d877@127.0.0.1:1/0"}, 2),
    (("workers", "beat"), {"REDIS_URL": "redis://queue/0"}, 1),
    (("workers.sweeper",), {"SEAL_KEY": "k" * 32}, 2),
]


@pytest.mark.parametrize(("command", "environment", "reasons"), PROCESSES)
def test_a_process_says_each_reason_on_a_line_of_its_own_and_ends(
    command: tuple[str, ...], environment: dict[str, str], reasons: int
) -> None:
    status, lines = run(*command, **environment)
    refusals = [line for line in lines if line["event"] == "cannot run"]
    assert status == 1
    assert len({line["error"] for line in refusals}) == len(refusals) == reasons
    assert {line["event"] for line in lines} <= {"started", "cannot run", "stopped"}


@pytest.mark.parametrize(
    ("command", "variable", "given"),
    [
        (("api",), "DATABASE_API_URL", "DATABASE_URL"),
        (("api",), "DATABASE_READ_URL", "DATABASE_URL"),
        (("api",), "DATABASE_API_URL", "DATABASE_WORKER_URL"),
        (("workers", "worker", "-Q", "wallets"), "DATABASE_WORKER_URL", "DATABASE_URL"),
        (("workers.sweeper",), "DATABASE_WORKER_URL", "DATABASE_API_URL"),
    ],
)
def test_a_process_does_not_start_with_a_role_that_could_do_more(
    servers: Stack, command: tuple[str, ...], variable: str, given: str
) -> None:
    status, lines = run(*command, **servers.env | {variable: servers.env[given], "LOG_FORMAT": "json"})
    refusals = [line["error"] for line in lines if line["event"] == "cannot run"]
    assert status == 1
    assert refusals
    assert [one for one in refusals if not one.startswith(f"{variable}: the role ")] == []


def test_the_doctor_says_the_same_as_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CARELESS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MODE", raising=False)
    settings.settings.cache_clear()
    found = list(doctor.examine_environment())
    said = [begin for begin in REASONS if not begin.startswith("not set")]
    assert [one.finding for one, begin in zip(found, said, strict=True) if not one.finding.startswith(begin)] == []
    assert all(one.remedy for one in found)


def run(*command: str, **environment: str) -> tuple[int, list[dict[str, str]]]:
    """Start a process that does not stay; return its exit status and the lines of its log."""
    clean = {"PATH": os.environ["PATH"]} | environment
    argv = [sys.executable, "-m", *command]
    with subprocess.Popen(argv, cwd=ROOT, env=clean, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            said, _ = process.communicate(timeout=END_SECONDS_MAX)
        finally:
            process.send_signal(signal.SIGKILL)
    return process.returncode, [msgspec.json.decode(line) for line in said.splitlines()]
