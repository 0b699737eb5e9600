"""Passwords: argon2id (RFC 9106), a bounded number at a time, off the event loop.

Hashes that came from a previous platform, bcrypt's or argon2's of other parameters, are checked as they are.
"""

import asyncio
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.errors import TooManyRequests
from domain.password_hashes import is_bcrypt

P = ParamSpec("P")
R = TypeVar("R")

MEMORY_KIB = 19 * 1024  # OWASP's floor for argon2id: 19 MiB, two passes, one lane.
PASSES = 2
AT_ONCE = 2  # Each holds a core for 20 ms: more would only make the rest of the API wait.
BCRYPT_BYTES = 72  # What it reads of a password; platforms that used it cut off the rest.
# Hashes from elsewhere take longer than ours: where there may be some, no refusal is faster than bcrypt's usual cost,
# 12, so that the time does not tell who came from there.
REFUSAL_SECONDS = 0.5


class Passwords:
    def __init__(self, waiting_max: int) -> None:
        """Let so many passwords wait or be at work, 0: any. More is an attack or an outage, better told at once."""
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._waiting_max = waiting_max
        self.expects_others = False  # Hashes from elsewhere: some were imported, or this process has met one.
        self._nobody = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """Return the hash to store.

        Raises:
            TooManyRequests: too many others wait.

        """
        return await self._in_turn(self._hasher.hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Compare; without a hash, spend the same time and say no, so that nobody learns which e-mails exist."""
        began = time.monotonic()
        matches = await self._in_turn(self._matches, password, hashed or self._nobody)
        self.expects_others |= hashed is not None and self.is_foreign(hashed)
        if self.expects_others and not matches:
            await asyncio.sleep(max(0, REFUSAL_SECONDS - (time.monotonic() - began)))
        return matches and hashed is not None

    def is_foreign(self, hashed: str) -> bool:
        """Whether the hash is not as ours are, so that it is to be replaced when the password is known."""
        try:
            return is_bcrypt(hashed) or self._hasher.check_needs_rehash(hashed)
        except InvalidHashError:
            return False

    async def _in_turn(self, work: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        if self._waiting_max and self._waiting >= self._waiting_max:
            raise TooManyRequests(retry_after=1)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work, *arguments, **named)
        finally:
            self._waiting -= 1

    def _matches(self, password: str, hashed: str) -> bool:
        try:
            if is_bcrypt(hashed):
                return bcrypt.checkpw(password.encode()[:BCRYPT_BYTES], hashed.encode())
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError, ValueError):
            return False
