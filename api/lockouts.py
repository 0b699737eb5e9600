"""Failed logins in a row: after some, the next one has to wait, and longer each time.

They are counted for an e-mail from one network address, and, ten times as patiently, for the e-mail from everywhere: so
whoever guesses from one address locks out nobody but that address, and whoever has many gets few guesses. Nothing here
knows whether an e-mail is somebody's. Without Redis there is no count, as of rates.
"""

import math

import redis_clients
from api.breaker import Breaker
from api.errors import LoginLocked
from settings import Settings

TIMEOUT_SECONDS = 0.25
FIRST_SECONDS = 60  # Then twice as long after each failure: who mistypes waits a minute.
LONGEST_SECONDS = 900  # So that nobody is locked out for good; four guesses an hour find no password.
FORGET_SECONDS = 86_400  # After a day without a failure the next one is the first.
EVERYWHERE = 10  # Times as many from all addresses: 100 (OWASP ASVS 4.0.3, 2.2.1, allows as many in an hour).


class Lockouts:
    def __init__(self, settings: Settings) -> None:
        self._client = redis_clients.connect_async(
            settings.redis_url, timeout_seconds=TIMEOUT_SECONDS, connect_seconds=TIMEOUT_SECONDS
        )
        self._begin = self._client.register_script(BEGIN)
        self._breaker = Breaker("login lock-outs")
        self._most = settings.login_failures_max

    async def begin(self, email: str, address: str) -> None:
        """Count an attempt as a failure until it succeeds: those that come together are no more guesses.

        Raises:
            LoginLocked: too many have failed; this one counts for nothing.

        """
        if not self._most:
            return
        scale = [1000 * seconds for seconds in (FIRST_SECONDS, LONGEST_SECONDS, FORGET_SECONDS)]
        most = [self._most, EVERYWHERE * self._most]
        wait = await self._breaker.ask(lambda: self._begin(_keys(email, address), [*scale, *most]))
        if wait:
            raise LoginLocked(retry_after=math.ceil(wait / 1000))

    async def succeed(self, email: str, address: str) -> None:
        """Forget the failures: the password was right."""
        if self._most:
            await self._breaker.ask(lambda: self._client.delete(*_keys(email, address)))

    async def close(self) -> None:
        await self._client.aclose()


def _keys(email: str, address: str) -> list[str]:
    return [f"lockout:{email}:{address}", f"lockout:{email}"]


# A hash each: how many failed, and until when the next has to wait. Answers for how many milliseconds, 0 for none.
BEGIN = """
    local time = redis.call('TIME')
    local now, wait = time[1] * 1000 + math.floor(time[2] / 1000), 0
    for _, key in ipairs(KEYS) do
        wait = math.max(wait, (tonumber(redis.call('HGET', key, 'until')) or 0) - now)
    end
    if wait > 0 then return wait end
    local first, longest, forget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
    for i, key in ipairs(KEYS) do
        local beyond = redis.call('HINCRBY', key, 'failures', 1) - tonumber(ARGV[3 + i])
        if beyond >= 0 then redis.call('HSET', key, 'until', now + math.min(first * 2 ^ beyond, longest)) end
        redis.call('PEXPIRE', key, forget)
    end
    return 0
"""
