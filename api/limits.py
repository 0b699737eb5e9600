"""Rates: how often a caller may come, counted in Redis so that all processes count together.

Each rate is a moving window: whatever minute one looks at, no more came through in it. What is left of a rate goes
with the answer, in the fields of draft-ietf-httpapi-ratelimit-headers. Without Redis each process counts alone: as many
times as there are processes may come through, and nobody is locked out by a broker's restart.

Only `request`, of everything that a caller asks for, is always counted by each process alone: nothing that is read
waits for Redis.
"""

import ipaddress
import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Request
from litestar.types import Scope

import redis_clients
from api.breaker import Breaker
from api.buckets import Buckets
from api.errors import TooManyRequests
from api.windows import Windows
from settings import Settings

TIMEOUT_SECONDS = 0.25
WINDOW_SECONDS = 60
NETWORK_BITS = 64  # Of IPv6: whoever has one address has all of its network (RFC 6177; RFC 4291, section 2.5.4).
TOLD = "rate_limits"  # In a request's state: what is left of the rates that it was counted by.


class Rate(StrEnum):
    LOGIN = "login"  # Of an e-mail from a network address.
    LOGIN_ADDRESS = "login-address"  # Of a network address.
    REGISTRATION = "registration"  # Of a network address.
    POST = "post"  # Of a caller; whatever queues a job or sends a webhook.
    BULK = "bulk"  # Of a caller, in the place of `post`.
    REQUEST = "request"  # Of a caller, or of a network address without one; in one process.


Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
KEYS = {rate: f"limits:{rate}:" for rate in Rate}


class Standing(msgspec.Struct, frozen=True):
    """How a rate stands with a caller."""

    rate: Rate
    most: int
    left: int
    reset_seconds: int  # Until there is more: the oldest of those that count does so no more.

    @property
    def policy(self) -> str:
        return f'"{self.rate.value}";q={self.most};w={WINDOW_SECONDS}'

    @property
    def limit(self) -> str:
        return f'"{self.rate.value}";r={self.left};t={self.reset_seconds}'


class Limits:
    def __init__(self, settings: Settings) -> None:
        self._client = redis_clients.connect_async(
            settings.redis_url, timeout_seconds=TIMEOUT_SECONDS, connect_seconds=TIMEOUT_SECONDS
        )
        self._count = self._client.register_script(COUNT)
        self._breaker = Breaker("rate limits", self._client)
        self._alone = Windows(WINDOW_SECONDS)
        self._rates = {
            Rate.LOGIN: settings.logins_per_minute_max,
            Rate.LOGIN_ADDRESS: settings.logins_per_address_max,
            Rate.REGISTRATION: settings.registrations_per_minute_max,
            Rate.POST: settings.posts_per_minute_max,
            Rate.BULK: settings.bulks_per_minute_max,
            Rate.REQUEST: settings.requests_per_minute_max,
        }
        self._buckets = Buckets(self._rates[Rate.REQUEST], WINDOW_SECONDS) if self._rates[Rate.REQUEST] else None

    async def hit(self, scope: Scope, who: Mapping[Rate, str]) -> None:
        """Count one more of each rate, or of none; the answer to the request will tell what is left.

        Raises:
            TooManyRequests: that is more than a minute allows.

        """
        rates = [rate for rate in who if self._rates[rate]]
        if not rates:
            return
        keys = [KEYS[rate] + who[rate] for rate in rates]
        mosts = [self._rates[rate] for rate in rates]
        answer = await self._breaker.ask(lambda: self._counted(keys, mosts))
        is_within, *found = self._alone.count(keys, mosts) if answer is None else answer
        counted = zip(rates, found[::2], found[1::2], strict=True)
        standings = [self._standing(rate, count, milliseconds) for rate, count, milliseconds in counted]
        _tell(scope, standings)
        if not is_within:
            raise TooManyRequests(retry_after=max(one.reset_seconds for one in standings if not one.left))

    async def _counted(self, keys: Sequence[str], mosts: Sequence[int]) -> list[int]:
        """Return the script's answer.

        Raises:
            RedisError, OSError: there is none.
            ValueError: this is none.

        """
        found = msgspec.convert(await self._count(keys, [WINDOW_SECONDS * 1000, *mosts]), list[Natural])
        if len(found) != 1 + 2 * len(keys) or max(found[2::2]) > WINDOW_SECONDS * 1000:
            raise ValueError("not as many numbers, or a longer wait than there is")
        if not found[0] and all(count < most for count, most in zip(found[1::2], mosts, strict=True)):
            raise ValueError("refused, with something left of each rate")
        return found

    def take(self, scope: Scope, who: str) -> None:
        """Count one more request, in this process alone; the answer will tell what is left.

        Raises:
            TooManyRequests: there were as many, and not enough time since.

        """
        if self._buckets is not None:
            is_within, left, seconds = self._buckets.take(who)
            standing = Standing(Rate.REQUEST, self._rates[Rate.REQUEST], left, math.ceil(seconds))
            _tell(scope, [standing])
            if not is_within:
                raise TooManyRequests(retry_after=standing.reset_seconds)

    def _standing(self, rate: Rate, count: int, milliseconds: int) -> Standing:
        most = self._rates[rate]
        return Standing(rate, most, max(0, most - count), math.ceil(milliseconds / 1000) or 1)

    async def close(self) -> None:
        await self._client.aclose()


def _tell(scope: Scope, standings: Iterable[Standing]) -> None:
    scope["state"][TOLD] = [*scope["state"].get(TOLD, ()), *standings]


def address(request: Request[Any, Any, Any]) -> str:
    """Return where a request comes from, as the connection says, or a load balancer that is believed.

    Of IPv6 it is the network: who has one chooses among 2^64 addresses.
    """
    try:
        found = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found), NETWORK_BITS), strict=False))


def fields(told: Iterable[Standing]) -> list[tuple[bytes, bytes]]:
    """Return the header fields that say how rates stand."""
    policies, standings = zip(*((one.policy, one.limit) for one in told), strict=True)
    return [(b"ratelimit-policy", ", ".join(policies).encode()), (b"ratelimit", ", ".join(standings).encode())]


# A list of times each, the newest first; those that count no more are taken off its end, each of them once. The clock
# is Redis's, so that all processes have the same; what it counted before it went back counts as of now. Answers whether
# it was counted, and of each list how many it holds and how many milliseconds its oldest one counts for.
COUNT = """
    local time = redis.call('TIME')
    local now, window = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[1])
    local answer = {1}
    for i, key in ipairs(KEYS) do
        local place, newest = 0, redis.call('LINDEX', key, 0)
        while newest and tonumber(newest) > now do
            redis.call('LSET', key, place, now)
            place = place + 1
            newest = redis.call('LINDEX', key, place)
        end
        local oldest = redis.call('LINDEX', key, -1)
        while oldest and now - oldest >= window do
            redis.call('RPOP', key)
            oldest = redis.call('LINDEX', key, -1)
        end
        local count = oldest and redis.call('LLEN', key) or 0
        if count >= tonumber(ARGV[i + 1]) then answer[1] = 0 end
        answer[2 * i], answer[2 * i + 1] = count, oldest and oldest + window - now or window
    end
    if answer[1] == 1 then
        for i, key in ipairs(KEYS) do
            answer[2 * i] = redis.call('LPUSH', key, now)
            redis.call('PEXPIRE', key, window)
        end
    end
    return answer
"""
