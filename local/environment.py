import base64
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlsplit, urlunsplit

from local import ports
from local.errors import StackError
from local.kept import Kept
from settings import Settings, read

# One machine that is tried out or measured does not meet these limits, unless its user sets them.
RAISED_LIMITS = (
    "OPEN_JOBS_MAX",
    "POSTS_PER_MINUTE_MAX",
    "BULKS_PER_MINUTE_MAX",
    "LOGINS_PER_MINUTE_MAX",
    "LOGIN_FAILURES_MAX",
    "LOGINS_PER_ADDRESS_MAX",
    "REQUESTS_PER_MINUTE_MAX",
    "REGISTRATIONS_PER_MINUTE_MAX",
    "PASSWORDS_WAITING_MAX",
    "WALLET_MOVES_PER_HOUR_MAX",
    "WALLET_MOVES_PER_DAY_MAX",
    "WALLET_AMOUNT_PER_HOUR_MAX",
    "WALLET_AMOUNT_PER_DAY_MAX",
    "CUSTOMER_MOVES_PER_HOUR_MAX",
    "CUSTOMER_MOVES_PER_DAY_MAX",
    "CUSTOMER_AMOUNT_PER_HOUR_MAX",
    "CUSTOMER_AMOUNT_PER_DAY_MAX",
)
OFF = "0"
# What suits a developer, unless the user sets it.
CONVENIENT = {
    "WEBHOOK_ALLOW_LOOPBACK": "true",  # A receiver runs beside it.
    "LOG_FORMAT": "text",  # People read the logs.
}
# Settings that open doors. A process gets those that it is given by name, and none that is added later.
CONFIDENTIAL = frozenset(
    {
        "DATABASE_URL",
        "DATABASE_API_URL",
        "DATABASE_WORKER_URL",
        "DATABASE_READ_URL",
        "REDIS_URL",
        "BROKER_URL",
        "TOKEN_KEY",
        "TOKEN_KEYS_ACCEPTED",
        "INDEX_KEY",
        "SEAL_KEY",
        "PII_KEYS",
        "WEBHOOK_KEYS",
        "FLOWER_PASSWORD",
        "COHORT_MEMBERS",
    }
)


def given(environment: Mapping[str, str]) -> Settings:
    """Return the settings that the user made, without what production would demand of them.

    Raises:
        SettingsError: one of them has a bad value.

    """
    return read(dict(environment) | {"MODE": "development"})


def complete(environment: Mapping[str, str], settled: Settings, kept: Kept) -> dict[str, str]:
    """Return the environment of the processes: what the user set, and the rest generated.

    `settled` are the settings that `environment` describes, with the folder, the ports and the servers' URLs
    in the place of what was left open.
    """
    database_url = _with_driver(settled.database_url)
    result = dict(environment) | {
        "MODE": "development",
        "DATABASE_URL": database_url,
        "REDIS_URL": settled.redis_url,
        "DATA_DIR": str(settled.data_dir),
        "API_PORT": str(settled.api_port),
        "FLOWER_PORT": str(settled.flower_port),
        "FLOWER_USER": settled.flower_user,
        "PYTHONUNBUFFERED": "1",  # A log that ends before the crash explains nothing.
    }
    for name, make in _generated(kept, database_url).items():
        result[name] = getattr(settled, name.lower()) or make()
    for name in RAISED_LIMITS:
        if not _is_set(environment, name):
            result[name] = OFF
    for name, value in CONVENIENT.items():
        if not _is_set(environment, name):
            result[name] = value
    for name in [name for name in result if name.endswith("_FILE")]:
        _settle_file(result, name, settled)
    return result


def _settle_file(result: dict[str, str], name: str, settled: Settings) -> None:
    """Put the content, which has been read, in the file's place: what we settled on must win."""
    variable = name.removesuffix("_FILE")
    content = getattr(settled, variable.lower(), None)
    if isinstance(content, str):
        result.setdefault(variable, content)
    if variable in result:
        del result[name]


def confined(env: Mapping[str, str], *confidential: str) -> dict[str, str]:
    """Return `env` with the named confidential settings and without the others, or files that hold them."""
    withheld = CONFIDENTIAL - set(confidential)
    return {name: value for name, value in env.items() if name.removesuffix("_FILE") not in withheld}


def resolve_ports(given: Settings, kept: Kept) -> tuple[int, int]:
    """Return the ports of the API and of Flower; 0 stands for a free one, chosen once.

    Raises:
        StackError: one of them is taken; the message names the variable.

    """
    return _port("API_PORT", given.api_port, kept), _port("FLOWER_PORT", given.flower_port, kept)


def flower_basic_auth(env: Mapping[str, str]) -> str:
    """Return Flower's `user:password`.

    Raises:
        StackError: Flower would read something else than what was set.

    """
    user, password = env["FLOWER_USER"], env["FLOWER_PASSWORD"]
    if ":" in user or "," in user + password or not (user + password).isascii():
        raise StackError("FLOWER_USER and FLOWER_PASSWORD: ASCII without a comma, the user without a colon")
    return f"{user}:{password}"


def _generated(kept: Kept, database_url: str) -> dict[str, Callable[[], str]]:
    def secret(name: str) -> Callable[[], str]:
        return lambda: kept.once(name, lambda: secrets.token_urlsafe(36))

    def role_url(role: str) -> Callable[[], str]:
        return lambda: _as_role(database_url, role, secret(f"{role}_password")())

    return {
        "DATABASE_API_URL": role_url("tekana_api"),
        "DATABASE_WORKER_URL": role_url("tekana_worker"),
        "TOKEN_KEY": secret("token_key"),
        "INDEX_KEY": secret("index_key"),
        "SEAL_KEY": secret("seal_key"),
        "PII_KEYS": lambda: kept.once("pii_keys", _new_sealing_key),
        "WEBHOOK_KEYS": lambda: kept.once("webhook_keys", _new_sealing_key),
        "FLOWER_PASSWORD": secret("flower_password"),
    }


def _new_sealing_key() -> str:
    return f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _with_driver(url: str) -> str:
    """Accept the spelling of libpq and of hosting providers too."""
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url


def _as_role(url: str, role: str, password: str) -> str:
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{address}"))


def _port(variable: str, port: int, kept: Kept) -> int:
    chosen = port or int(kept.once(variable.lower(), lambda: str(ports.free())))
    if ports.is_free(chosen):
        ports.promise(chosen)
        return chosen
    raise StackError(f"port {chosen} is taken by another program: set {variable} to a free port")


def _is_set(environment: Mapping[str, str], name: str) -> bool:
    return bool(environment.get(name) or environment.get(f"{name}_FILE"))
