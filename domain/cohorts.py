"""Who is served here while customers come over from a previous platform, a share at a time."""

import hmac
import re

import msgspec

from domain.customers import normal_email
from domain.errors import InvalidField

PERCENT_MAX = 100  # Everybody.
MEMBERS_MAX = 100_000  # About 10 MB in each API process; a larger group is a percentage.
# Before the address, so that what an INDEX_KEY computes for other purposes has nothing in common with a place.
PURPOSE = b"cohort:"
PLACE_BITS = 64


class Cohort(msgspec.Struct, frozen=True, kw_only=True):
    """A share of all customers, and those who belong to it whatever the share is."""

    key: bytes  # Decides who comes early: never changed, or customers who are here are sent away.
    percent: int = PERCENT_MAX
    members: frozenset[str] = frozenset()  # E-mail addresses as `normal_email` has them, or `@domain`.

    @property
    def is_everybody(self) -> bool:
        return self.percent >= PERCENT_MAX

    def admits(self, email: str) -> bool:
        """Whether the customer with this e-mail, as `normal_email` has it, is served here.

        It depends on nothing but the address: a growing percentage takes nobody away, and the answer tells
        nobody whether there is such a customer.
        """
        return self.is_everybody or self._lists(email) or place(email, self.key) < self.percent

    def _lists(self, email: str) -> bool:
        _, at, domain = email.rpartition("@")
        return email in self.members or at + domain in self.members


def place(email: str, key: bytes) -> int:
    """Return the customer's percent, 0 to 99: they are admitted as soon as the share is above it."""
    digest = hmac.digest(key, PURPOSE + email.encode(), "sha256")
    return int.from_bytes(digest[: PLACE_BITS // 8]) * PERCENT_MAX >> PLACE_BITS


def parse_members(text: str) -> frozenset[str]:
    """Read e-mail addresses and `@domain`s with commas or blanks, such as line ends, between them.

    Raises:
        ValueError: one of them is neither, or they are too many; the message names its number, not the address.

    """
    entries = [entry for entry in re.split(r"[\s,]+", text) if entry]
    if len(entries) > MEMBERS_MAX:
        raise ValueError(f"has {len(entries)} entries; {MEMBERS_MAX} are the most")
    return frozenset(_member(entry, number) for number, entry in enumerate(entries, start=1))


def _member(entry: str, number: int) -> str:
    local = "anybody" if entry.startswith("@") else ""
    try:
        return normal_email(local + entry).removeprefix(local)
    except InvalidField as error:
        raise ValueError(f"entry {number} is neither an e-mail address nor @domain") from error
