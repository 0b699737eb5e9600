"""The environment, read once into one frozen struct.

`settings()` is the cached factory; importing this module reads nothing. An empty variable counts as
unset, and `NAME_FILE` names a file that holds the value of `NAME` (for secrets).
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

SECRET_BYTES_MIN = 32  # A 256-bit key has 32 bytes; shorter ones weaken HMAC-SHA256 (RFC 2104, section 3).
ENVIRONMENT_FILE = "environment.json"  # In DATA_DIR: how `tekana run` set up its processes, for the other verbs.
SECRETS = ("token_key", "index_key", "seal_key")


class SettingsError(Exception):
    """The environment does not describe a system that can start; the message names the variable."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    mode: Literal["production", "development"] = "production"
    data_dir: Path = Path("var")

    # Addresses. The owner's role migrates; the API's and the workers' roles own nothing.
    database_url: str = ""
    database_api_url: str = ""
    database_worker_url: str = ""
    redis_url: str = ""

    # Secrets, each at least 32 characters. `pii_keys` is `id:base64,...`; the first one encrypts.
    token_key: str = ""  # Signs access tokens.
    index_key: str = ""  # Keys the blind indexes and request fingerprints.
    seal_key: str = ""  # Seals ledger entries; the API does not need it.
    pii_keys: str = ""  # AES-256-GCM keys of national ids and phone numbers.

    api_host: str = "127.0.0.1"
    api_port: int = 8000
    api_database_connections: int = 8  # Per process; accepts share one connection, the rest serve reads.
    flower_port: int = 5555
    flower_user: str = "operator"
    flower_password: str = ""

    access_token_seconds: int = 900  # Short, so that a stolen token is soon worthless (OWASP API2).
    refresh_token_days: int = 30
    default_phone_region: str = "RW"  # For numbers typed without a country code.

    # Limits per caller; 0 switches one off. `make run` raises them above what one machine reaches.
    open_jobs_max: int = 1_000  # Queued jobs of one customer: more is a runaway client.
    posts_per_minute_max: int = 600  # Jobs one caller may submit in a minute.
    logins_per_minute_max: int = 10  # Attempts for one e-mail: slows guessing to 14,400 a day.
    registrations_per_minute_max: int = 30  # From one address: argon2 costs 20 ms and 19 MiB each.

    batch_max: int = 1_000  # Jobs settled in one transaction: about 150 ms, far below lock_timeout.
    balance_max: int = 10**15  # Minor units a wallet may hold: the largest amount of the contract.


@lru_cache(maxsize=1)
def settings() -> Settings:
    return read(os.environ)


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings that `environment` describes.

    Raises:
        SettingsError: a value has the wrong type, or a secret is missing or too short.

    """
    values = {name: value for name in Settings.__struct_fields__ if (value := _value(environment, name))}
    try:
        result = msgspec.convert(values, Settings, strict=False, dec_hook=_convert)
    except msgspec.ValidationError as error:
        raise SettingsError(f"environment: {error}") from error
    _require_secrets(result)
    return result


def _value(environment: Mapping[str, str], name: str) -> str:
    variable = name.upper()
    if path := environment.get(f"{variable}_FILE", ""):
        return Path(path).read_text(encoding="utf-8").strip()
    return environment.get(variable, "")


def _convert(kind: type, value: str) -> Path:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"a setting of type {kind.__name__}")


def _require_secrets(result: Settings) -> None:
    for name in SECRETS:
        length = len(getattr(result, name))
        if 0 < length < SECRET_BYTES_MIN:
            raise SettingsError(f"{name.upper()} has {length} characters; it needs {SECRET_BYTES_MIN}")


def require(result: Settings, *names: str) -> None:
    """Refuse to start when one of the named settings is empty.

    Raises:
        SettingsError: naming the variables that are missing.

    """
    missing = [name.upper() for name in names if not getattr(result, name)]
    if missing:
        raise SettingsError(f"not set: {', '.join(missing)} (see .env.example)")
