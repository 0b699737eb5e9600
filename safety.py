"""What no process starts with, a sentence for each reason; the sentences never repeat a secret.

`settings.read` asks here, and so every process and every verb. What only a connection shows is asked by `db.roles`.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import brokers
from domain.retention import EVENTS_OUTLIVE_DELIVERIES_DAYS
from domain.retries import parse_delays
from domain.velocity import parse_amounts

if TYPE_CHECKING:
    from settings import Settings

SECRET_BYTES_MIN = 32  # A 256-bit key has 32 bytes; shorter ones weaken HMAC-SHA256 (RFC 2104, section 3).
SECRET_BYTES_MAX = 64  # What BLAKE2b, the seal, takes as a key (RFC 7693, section 2.1).
AMOUNTS = (
    "wallet_amount_per_hour_max",
    "wallet_amount_per_day_max",
    "customer_amount_per_hour_max",
    "customer_amount_per_day_max",
)
SECRETS = ("token_key", "index_key", "seal_key")
SEALING = ("pii_keys", "webhook_keys")
KEY_RINGS = (*SEALING, "token_keys_accepted")
URLS = ("database_url", "database_api_url", "database_worker_url", "database_read_url", "redis_url", "broker_url")
# What stands in examples, and what installations are broken into with. By chance, a random key of ours has such
# a word once in 10^10.
DEFAULT_SECRET = re.compile(
    r"change.?me|replace.?me|placeholder|password|^(admin|default|postgres|secret|tekana)$", re.IGNORECASE
)
SECRET_BYTES_DISTINCT_MIN = 8  # 32 random hexadecimal digits have fewer once in a million.
PASSWORD_CHARACTERS_MIN = 12  # Of services: nobody types them, and Redis answers 100,000 guesses a second.
# Switches of libraries that show strangers too much, or do not ask who they are.
LEFTOVERS = ("LITESTAR_DEBUG", "LITESTAR_PDB", "FLOWER_DEBUG", "FLOWER_UNAUTHENTICATED_API")
OFF = {"", "0", "false", "no", "off"}
OF_PYTHON = ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE")  # Likewise, and on whatever they say, "0" as well.
ACCEPTED_KEYS_MAX = 4  # A rotation needs one more key than the one that signs; more are keys that were forgotten.
BROKERS = {"redis_url": brokers.REDIS, "broker_url": (*brokers.REDIS, *brokers.RABBITMQ)}
NOBODY = "none"  # As TRUSTED_PROXIES.
# Of all addresses of IPv4, and of IPv6, the share that may be load balancers: room for every private network, and far
# more than any provider has.
TRUSTED_SHARE_MAX = 1 / 64
LOGIN_LIMITS = ("logins_per_minute_max", "login_failures_max")


def unsound(result: "Settings") -> Iterator[str]:
    """Find what works nowhere."""
    yield from _secrets_of_a_wrong_length(result)
    yield from _addresses_of_no_broker(result)
    yield from _webhooks(result)
    yield from _amounts(result)
    yield from _keys_that_seal_nothing(result)
    yield from _members(result)
    yield from _load_balancers(result)


def _secrets_of_a_wrong_length(result: "Settings") -> Iterator[str]:
    accepted = result.accepted_token_keys
    if len(accepted) > ACCEPTED_KEYS_MAX:
        yield f"TOKEN_KEYS_ACCEPTED has {len(accepted)} keys; {ACCEPTED_KEYS_MAX} are the most"
    for name, key in _keys(result):
        length = len(key.encode())
        if not SECRET_BYTES_MIN <= length <= SECRET_BYTES_MAX:
            yield f"{name.upper()} has {length} bytes; it needs {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}"


def _keys(result: "Settings") -> list[tuple[str, str]]:
    named = [(name, getattr(result, name)) for name in SECRETS]
    return [one for one in named if one[1]] + [("token_keys_accepted", key) for key in result.accepted_token_keys]


def _addresses_of_no_broker(result: "Settings") -> Iterator[str]:
    for name, known in BROKERS.items():
        url = getattr(result, name)
        if url and (complaint := brokers.complaint(url, known)):
            yield f"{name.upper()} {complaint}"


def _webhooks(result: "Settings") -> Iterator[str]:
    try:
        parse_delays(result.webhook_retry_seconds)
    except ValueError as error:
        yield f"WEBHOOK_RETRY_SECONDS: comma-separated seconds, {error}"
    event_days_min = result.webhook_delivery_days + EVENTS_OUTLIVE_DELIVERIES_DAYS
    if result.event_days < event_days_min:
        given = f"EVENT_DAYS is {result.event_days} and WEBHOOK_DELIVERY_DAYS {result.webhook_delivery_days}"
        yield f"{given}: an event outlives its deliveries, so that EVENT_DAYS must be at least {event_days_min}"


def _amounts(result: "Settings") -> Iterator[str]:
    for name in AMOUNTS:
        try:
            parse_amounts(getattr(result, name))
        except ValueError as error:
            yield f"{name.upper()}: comma-separated amounts, {error}"


def _keys_that_seal_nothing(result: "Settings") -> Iterator[str]:
    for name in SEALING:
        keys = getattr(result, name)
        if not keys:
            continue
        import sealing  # noqa: PLC0415 - loads OpenSSL, which few processes need

        try:
            sealing.Sealer(keys, name.upper())
        except ValueError as error:
            yield str(error)


def _members(result: "Settings") -> Iterator[str]:
    if not result.cohort_members:
        return
    from domain.cohorts import parse_members  # noqa: PLC0415 - loads what knows e-mail addresses, likewise

    try:
        parse_members(result.cohort_members)
    except ValueError as error:
        yield f"COHORT_MEMBERS: {error}"


def _load_balancers(result: "Settings") -> Iterator[str]:
    """Everybody is none, in however many pieces: then anybody could write the address that limits go by."""
    try:
        named = [ipaddress.ip_network(one) for one in result.trusted_networks]
    except ValueError:
        yield "TRUSTED_PROXIES: addresses or networks such as 10.0.0.0/8, comma-separated"
        return
    four = ipaddress.collapse_addresses(one for one in named if isinstance(one, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(one for one in named if isinstance(one, ipaddress.IPv6Network))
    if max(_share(four), _share(six)) > TRUSTED_SHARE_MAX:
        yield "TRUSTED_PROXIES: all of them together are so many that anybody could be one of them"


def _share(networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> float:
    return sum(2.0**-one.prefixlen for one in networks)


def unsafe(result: "Settings", environment: Mapping[str, str]) -> Iterator[str]:
    """Find what may work on a developer's machine, and is an open door elsewhere."""
    yield from _default_secrets(result)
    yield from _guessable_secrets(result)
    yield from _open_brokers(result)
    if result.webhook_allow_loopback:
        yield "WEBHOOK_ALLOW_LOOPBACK lets callers reach this machine; production refuses it"
    for name in LOGIN_LIMITS:
        if not getattr(result, name):
            yield f"{name.upper()} is 0, so that passwords could be guessed for ever; production refuses it"
    for name in (*LEFTOVERS, *OF_PYTHON):
        value = environment.get(name, "")
        if value.lower() not in OFF or (value and name in OF_PYTHON):
            yield f"{name} is set, which is for developers; production refuses it"


def _default_secrets(result: "Settings") -> Iterator[str]:
    """A secret that others know opens the door; the message does not repeat it."""
    secrets = [(name, getattr(result, name)) for name in (*SECRETS, *KEY_RINGS)]
    held = dict.fromkeys(name for name, secret in (*secrets, *_passwords(result)) if DEFAULT_SECRET.search(secret))
    for name in held:
        yield f"{name.upper()} holds a default secret, which production refuses: make one at random"


def _guessable_secrets(result: "Settings") -> Iterator[str]:
    """A secret may be unknown, and found all the same: it is short, or made of little, or known by another name."""
    keys = _keys(result)
    for name, key in keys:
        if len(set(key)) < SECRET_BYTES_DISTINCT_MIN:
            yield f"{name.upper()} repeats a few characters, which production refuses: make one at random"
    own = [(name, key) for name, key in keys if name in SECRETS]
    for name, key in own:
        if others := [other.upper() for other, same in own if same == key and other > name]:
            yield f"{name.upper()} is the same as {', '.join(others)}: who learns one must not have the other"
    for name in dict.fromkeys(name for name, one in _passwords(result) if len(one) < PASSWORD_CHARACTERS_MIN):
        yield f"{name.upper()} has a password below {PASSWORD_CHARACTERS_MIN} characters, which production refuses"


def _passwords(result: "Settings") -> list[tuple[str, str]]:
    flower = [("flower_password", result.flower_password)] if result.flower_password else []
    return [*flower, *((name, one) for name in URLS for one in brokers.passwords(getattr(result, name)))]


def _open_brokers(result: "Settings") -> Iterator[str]:
    """Whoever reaches an open broker reads the results of jobs and rings for what they like."""
    for name, known in BROKERS.items():
        url = getattr(result, name)
        if url and not brokers.complaint(url, known) and (weakness := brokers.weakness(url)):
            yield f"{name.upper()} {weakness}, which production refuses; see .env.example"


def of_flower(arguments: Sequence[str], environment: Mapping[str, str], *, is_production: bool) -> Iterator[str]:
    """Find what is wrong with how Flower is started: it shows jobs to whoever reaches it, and can stop workers."""
    credentials = environment.get("FLOWER_BASIC_AUTH", "")
    password = credentials.partition(":")[2]
    if not password:
        yield "FLOWER_BASIC_AUTH is not user:password; everybody could look"
    if not is_production:
        return
    if "--read-only" not in arguments:
        yield "Flower is started without --read-only, which production refuses: it could stop workers"
    if password and (DEFAULT_SECRET.search(password) or len(password) < PASSWORD_CHARACTERS_MIN):
        yield f"FLOWER_BASIC_AUTH has a default password or one below {PASSWORD_CHARACTERS_MIN} characters"
