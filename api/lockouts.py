"""Failed logins in a row: after some, the next one has to wait, and longer each time.

They are counted for an e-mail at one place, which is a network address, and, ten times as patiently, for the e-mail at
all places where its owner is not known: so whoever guesses from one address locks out nobody but that address, whoever
has many gets few guesses, and the owner comes in from where they came in before. Nothing here knows whether an e-mail
is somebody's: e-mails and places come as keyed hashes.

Where Redis does not answer, be it for a moment, each process counts alone: as many attempts as may fail, in a moving
window of the longest wait. So a guesser gains at most that, of each process.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec
import redis

import redis_clients
from api.breaker import Breaker
from api.errors import LoginLocked
from api.windows import Windows
from settings import Settings

TIMEOUT_SECONDS = 0.25
FIRST_SECONDS = 60  # Then twice as long after each failure: who mistypes waits a minute.
LONGEST_SECONDS = 900  # So that nobody is locked out for good; four guesses an hour find no password.
# After an hour without a failure the next one is the first. Longer would fill Redis, which has the queue as well.
FORGET_SECONDS = 3_600
EVERYWHERE = 10  # Times as many from all addresses: 100 in an hour, as OWASP ASVS 4.0.3, 2.2.1, allows.
# Counters: 27 MB. To push out one that hinders them, guessers would have to fail 50,000 times, which takes a quarter of
# an hour of a core, for a hundred guesses more.
KEPT_MAX = 100_000
HASH_CHARACTERS = 32  # Of each hash: 128 bits are as good as all of them.
Wait: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1_000 * LONGEST_SECONDS)]
RECENT = "lockouts"  # The counters by the time of their latest failure.


class Attempt(msgspec.Struct, frozen=True):
    """Where an attempt was counted as a failure: at its place, and perhaps for all places."""

    counters: tuple[str, ...] = ()
    is_alone: bool = False  # By this process, for Redis did not answer.


class Lockouts:
    def __init__(self, settings: Settings) -> None:
        self._client = redis_clients.connect_async(
            settings.redis_url, timeout_seconds=TIMEOUT_SECONDS, connect_seconds=TIMEOUT_SECONDS
        )
        self._begin = self._client.register_script(BEGIN)
        self._undo = self._client.register_script(UNDO)
        self._breaker = Breaker("login lock-outs", self._client)
        self._alone = Windows(LONGEST_SECONDS)
        self._most = settings.login_failures_max

    async def begin(self, email: str, place: str, *, is_known: bool) -> Attempt:
        """Count an attempt as a failure until it succeeds: those that come together are no more guesses.

        Returns where it was counted. From a known place it counts there only, as nothing that failed elsewhere does.

        Raises:
            LoginLocked: too many have failed; this one counts for nothing.

        """
        if not self._most:
            return Attempt()
        everywhere = _prefix(email)
        counters = {f"{everywhere}:{place[:HASH_CHARACTERS]}": self._most, everywhere: EVERYWHERE * self._most}
        if is_known:
            del counters[everywhere]
        scale = [1000 * seconds for seconds in (FIRST_SECONDS, LONGEST_SECONDS, FORGET_SECONDS)]
        arguments = [*scale, KEPT_MAX, *counters.values()]
        answer = await self._breaker.ask(lambda: self._begun([RECENT, *counters], arguments))
        wait = self._begin_alone(counters) if answer is None else answer
        if wait:
            raise LoginLocked(retry_after=math.ceil(wait / 1000))
        return Attempt(tuple(counters), is_alone=answer is None)

    async def _begun(self, keys: Sequence[str], arguments: Sequence[int]) -> int:
        """Return for how many milliseconds to wait, or raise whatever an answer is that is none."""
        return msgspec.convert(await self._begin(keys, arguments), Wait)

    def _begin_alone(self, counters: Mapping[str, int]) -> int:
        """Count in this process; return for how many milliseconds to wait, 0 for none, as the script does."""
        mosts = list(counters.values())
        is_within, *found = self._alone.count(list(counters), mosts)
        full = [wait for count, wait, most in zip(found[::2], found[1::2], mosts, strict=True) if count >= most]
        return 0 if is_within else max(full)

    async def succeed(self, attempt: Attempt) -> None:
        """Forget what failed at this place: the password was right. What failed elsewhere was somebody else."""
        await self._end(attempt, is_success=True)
        for place in attempt.counters[:1]:
            self._alone.forget(place)

    async def withdraw(self, attempt: Attempt) -> None:
        """Let an attempt count for nothing: its password was not looked at."""
        await self._end(attempt, is_success=False)

    async def _end(self, attempt: Attempt, *, is_success: bool) -> None:
        if attempt.is_alone:
            self._alone.take_back(attempt.counters)
        elif attempt.counters:
            await self._breaker.ask(lambda: self._undo(attempt.counters, [int(is_success)]))

    async def close(self) -> None:
        await self._client.aclose()


def lift(client: redis.Redis, email: str) -> int:
    """Forget all failures of an e-mail, which is hashed as for `begin`; return in how many counters they were."""
    found: list[Any] = [key for key, _ in client.zscan_iter(RECENT, f"{_prefix(email)}*")]
    if not found:
        return 0
    client.zrem(RECENT, *found)
    return int(client.delete(*found))


def _prefix(email: str) -> str:
    return f"lockout:{email[:HASH_CHARACTERS]}"


# A hash each: how many failed, and until when the next has to wait; never longer than so many have to, should the clock
# go back. Those beyond the most that are kept go, the oldest first. Answers for how many milliseconds to wait, 0 for
# none.
BEGIN = """
    local time = redis.call('TIME')
    local now, wait = time[1] * 1000 + math.floor(time[2] / 1000), 0
    local first, longest, forget, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
    local function length(i, failures)
        local beyond = failures - tonumber(ARGV[i + 3])
        return beyond >= 0 and math.min(first * 2 ^ beyond, longest) or 0
    end
    for i = 2, #KEYS do
        local found = redis.call('HMGET', KEYS[i], 'failures', 'until')
        if found[2] then
            local left, most = tonumber(found[2]) - now, length(i, tonumber(found[1]))
            if left > most then
                left = most
                redis.call('HSET', KEYS[i], 'until', now + left)
            end
            wait = math.max(wait, left)
        end
    end
    if wait > 0 then return wait end
    for i = 2, #KEYS do
        local wait = length(i, redis.call('HINCRBY', KEYS[i], 'failures', 1))
        if wait > 0 then redis.call('HSET', KEYS[i], 'until', now + wait) end
        redis.call('PEXPIRE', KEYS[i], forget)
        redis.call('ZADD', KEYS[1], now, KEYS[i])
    end
    redis.call('PEXPIRE', KEYS[1], forget)
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - forget)
    while redis.call('ZCARD', KEYS[1]) > kept do
        redis.call('DEL', redis.call('ZPOPMIN', KEYS[1])[1])
    end
    return 0
"""

# Whoever was let begin was alone where there was anything to wait for, so that what has to be waited for is theirs.
UNDO = """
    for i, key in ipairs(KEYS) do
        if i == 1 and ARGV[1] == '1' or redis.call('HINCRBY', key, 'failures', -1) <= 0 then
            redis.call('DEL', key)
        else
            redis.call('HDEL', key, 'until')
        end
    end
"""
