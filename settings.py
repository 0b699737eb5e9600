"""The environment, read once into one frozen struct.

`settings()` is the cached factory; importing this module reads nothing. An empty variable counts as
unset, and `NAME_FILE` names a file that holds the value of `NAME` (for secrets).
"""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

import safety

ENVIRONMENT_FILE = "environment.json"  # In DATA_DIR: how `tekana run` set up its processes, for the other verbs.
Port: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65_535)]  # 16 bits (RFC 9293, section 3.1).
Connections: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000)]  # PostgreSQL itself begins with 100.
Seconds: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=86_400)]  # A day: nothing here is to live longer.
Days: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=3_650)]  # Ten years, as for keys.
Percent: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=100)]
ReadAge: TypeAlias = Annotated[int, msgspec.Meta(ge=2, le=3_600)]  # The age is known once a second only.
Limit: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]  # More is none, which 0 says.
Age: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=86_400)]  # Whoever waits for a day has been forgotten.
Timeout: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=60)]  # Longer ones only keep connections and leases.
Wait: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=31_536_000)]  # A year.
Batch: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=10_000)]  # About 1.5 s: lock_timeout is 3.
Balance: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=10**15)]  # The largest amount of the contract.


class SettingsError(Exception):
    """The environment does not describe a system that can start; each reason is a sentence that names what."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    mode: Literal["production", "development"] = "production"
    data_dir: Path = Path("var")

    # What is told of the system's life.
    log_format: Literal["json", "text"] = "json"  # An object a line, or lines for people.
    log_level: Literal["debug", "info", "warning", "error"] = "info"  # Libraries never say more than `info`.
    access_log: bool = True  # A line for each answer of the API.
    tracing: bool = False  # OpenTelemetry's own variables say where traces go and which are kept.

    # Addresses. The owner's role migrates; the API's and the workers' roles own nothing.
    database_url: str = ""
    database_api_url: str = ""
    database_worker_url: str = ""
    database_read_url: str = ""  # The API's role at a streaming replica, for reads that may be a little old.
    database_read_age_seconds_max: ReadAge = 5  # Older than that, reads go to the primary.
    database_prepared_statements: bool = True  # Not through a PgBouncer that pools transactions and is older than 1.21.
    redis_url: str = ""  # Notices, cache and rates; and the queue, unless it has a broker of its own.
    broker_url: str = ""  # See `brokers` for what both may say.

    # Secrets, the keys of 32 to 64 bytes. `pii_keys` is `id:base64,...`; the first one encrypts.
    token_key: str = ""  # Signs access tokens.
    token_keys_accepted: str = ""  # Comma-separated: tokens of these keys are good too, while TOKEN_KEY is replaced.
    index_key: str = ""  # Keys the blind indexes and request fingerprints.
    seal_key: str = ""  # Seals ledger entries; the API does not need it.
    pii_keys: str = ""  # AES-256-GCM keys of national ids and phone numbers.
    webhook_keys: str = ""  # AES-256-GCM keys of webhook secrets, for the API and the webhook worker.

    api_host: str = "127.0.0.1"
    api_port: Port = 8000
    trusted_proxies: str = "none"  # Whose X-Forwarded-For is believed: addresses and networks, comma-separated.
    api_database_connections: Connections = 8  # Per process; accepts share one connection, the rest serve reads.
    metrics_host: str = "127.0.0.1"  # Figures are for scrapers: a network of their own, never everybody's.
    metrics_port: Port = 0  # Of a worker, the sweeper or beat; 0 is none. The API has /metrics.
    flower_port: Port = 5555
    flower_user: str = "operator"
    flower_password: str = ""

    access_token_seconds: Seconds = 900  # Short, so that a stolen token is soon worthless (OWASP API2).
    refresh_token_days: Days = 30
    default_phone_region: str = "RW"  # For numbers typed without a country code.

    # Who is served while customers come over from a previous platform; everybody else is told `not_admitted`.
    cohort_percent: Percent = 100  # A growing share adds customers and takes none away.
    cohort_members: str = ""  # E-mail addresses and @domains that are in whatever the share is.

    # Limits per caller; 0 switches one off. `make run` raises them above what one machine reaches.
    open_jobs_max: Limit = 1_000  # Queued jobs of one customer: more is a runaway client.
    posts_per_minute_max: Limit = 600  # Jobs one caller may submit in a minute.
    bulks_per_minute_max: Limit = 30  # Bulks likewise: 30,000 transfers are a tenth of what a minute settles.
    logins_per_minute_max: Limit = 10  # Attempts for one e-mail from one address; each takes 20 ms of a core.
    login_failures_max: Limit = 10  # In a row, likewise, until the next has to wait: people mistype a few times.
    logins_per_address_max: Limit = 300  # In a minute: carriers put many people behind one address; guessers are more.
    requests_per_minute_max: Limit = 6_000  # Of all kinds, at one API process: ten for each job one may submit.
    registrations_per_minute_max: Limit = 30  # From one address: argon2 costs 20 ms and 19 MiB each.
    passwords_waiting_max: Limit = 100  # To be hashed, at one API process: the last one waits a second.

    # How many movements, and how many minor units, may leave a wallet, and a customer's wallets of one currency, in an
    # hour and a day of UTC; 0 switches one off. Amounts may differ by currency: `10000000,UGX:40000000`.
    wallet_moves_per_hour_max: Limit = 1_000  # As many as the largest bulk has: a wage run passes.
    wallet_moves_per_day_max: Limit = 2_000  # It may be said again once.
    wallet_amount_per_hour_max: str = "5000000"  # 50,000.00 of a currency with cents: regulators allow persons less.
    wallet_amount_per_day_max: str = "10000000"
    customer_moves_per_hour_max: Limit = 1_000  # As of a wallet: who has several may not do more by that.
    customer_moves_per_day_max: Limit = 2_000
    customer_amount_per_hour_max: str = "5000000"
    customer_amount_per_day_max: str = "10000000"

    # From where on a queue is under pressure, and jobs of those who fill it are refused; 0 switches a mark off.
    queue_jobs_max: Limit = 50_000  # 15 s of one worker's work, as long as is promised when a process dies.
    queue_age_seconds_max: Age = 60  # Of its oldest job: without a broker the sweeper takes 30 s to begin.

    batch_max: Batch = 1_000  # Jobs or items in one transaction: about 150 ms, far below lock_timeout.
    balance_max: Balance = 10**15  # Minor units a wallet may hold: the largest amount of the contract.

    # Webhooks. The waits before each attempt, in seconds: the first from the event on, the others after a failure.
    webhook_retry_seconds: str = "0,5,300,1800,7200,18000,36000,50400,72000,86400"  # Three days.
    webhook_timeout_seconds: Timeout = 15  # Connection, request and answer together: a receiver is to note and answer.
    webhook_connect_timeout_seconds: Timeout = 5
    webhook_disable_after_seconds: Wait = 432_000  # Five days without one success: nobody is there any more.
    webhook_delivery_days: Days = 30  # How long the log of deliveries goes back, up to a month more.
    event_days: Days = 92  # Likewise the feed of events, and what can be replayed.
    webhook_allow_loopback: bool = False  # http to this machine, for a developer's own receiver. Never in production.

    @property
    def accepted_token_keys(self) -> list[str]:
        return [key.strip() for key in self.token_keys_accepted.split(",") if key.strip()]

    @property
    def trusted_networks(self) -> list[str]:
        """Return the addresses and networks whose X-Forwarded-For is believed."""
        named = self.trusted_proxies
        return [] if named == safety.NOBODY else [one.strip() for one in named.split(",")]

    @property
    def is_production(self) -> bool:
        return self.mode == "production"


@lru_cache(maxsize=1)
def settings() -> Settings:
    return read(os.environ)


def read(environment: Mapping[str, str], *needed: str) -> Settings:
    """Return the settings that `environment` describes; those that are `needed` may not be empty.

    Raises:
        SettingsError: with every reason at once: values of a wrong type or size, missing, or unsafe in production.

    """
    values = {name: value for name in Settings.__struct_fields__ if (value := _value(environment, name))}
    mistyped = [reason for name, value in values.items() if (reason := _mistyped(name, value))]
    sound = {name: value for name, value in values.items() if not _mistyped(name, value)}
    result = msgspec.convert(sound, Settings, strict=False, dec_hook=_convert)
    found = [*mistyped, *_missing(result, needed), *safety.unsound(result)]
    if result.is_production:
        found += safety.unsafe(result, environment)
    if found:
        raise SettingsError(*found)
    return result


def _value(environment: Mapping[str, str], name: str) -> str:
    variable = name.upper()
    if path := environment.get(f"{variable}_FILE", ""):
        return Path(path).read_text(encoding="utf-8").strip()
    return environment.get(variable, "")


def _mistyped(name: str, value: str) -> str:
    """Return what is wrong with one value by itself; empty when nothing is."""
    try:
        msgspec.convert({name: value}, Settings, strict=False, dec_hook=_convert)
    except msgspec.ValidationError as error:
        return f"environment: {error}"
    return ""


def _convert(kind: type, value: str) -> Path:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"a setting of type {kind.__name__}")


def require(result: Settings, *needed: str) -> None:
    """Refuse to start when one of the needed settings is empty.

    Raises:
        SettingsError: naming the variables that are missing.

    """
    if missing := _missing(result, needed):
        raise SettingsError(*missing)


def _missing(result: Settings, needed: Sequence[str]) -> list[str]:
    names = [name.upper() for name in needed if not getattr(result, name)]
    return [f"not set: {', '.join(names)} (see .env.example)"] if names else []
