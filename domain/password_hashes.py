"""Hashes of passwords that came from a previous platform: which can be checked, in bounded time and memory."""

import re

from domain.errors import InvalidField

# bcrypt: version, cost, 22 characters of salt and 31 of hash. "$2a$" and "$2y$" are "$2b$" for what we check.
BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
# 4 is bcrypt's own floor; 12, what PHP and Rails use, takes a quarter of a second. A login is refused after twice that,
# whoever it is for: with a costlier hash, the time would tell that the e-mail is somebody's.
BCRYPT_COST_MIN, BCRYPT_COST_MAX = 4, 12

# argon2's own encoding, version 1.3: kind, KiB, passes, lanes, salt, hash.
ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,3})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}"
)
# Each pass goes over all of the memory: together as long as bcrypt's 12. PHP and Laravel use 64 MiB and 4 passes,
# OWASP's strongest advice is 46 MiB.
ARGON2_KIB_PASSES_MAX = 256 * 1024
ARGON2_KIB_MAX = 128 * 1024  # To get as much memory from the system takes as long as a pass over it.
ARGON2_LANES_MAX = 16


def is_bcrypt(hashed: str) -> bool:
    return hashed.startswith("$2")


def require_known(hashed: str) -> str:
    """Return the hash as it is.

    Raises:
        InvalidField: it is of another kind, or would cost a login too much.

    """
    if found := BCRYPT.fullmatch(hashed):
        if not BCRYPT_COST_MIN <= int(found[1]) <= BCRYPT_COST_MAX:
            raise InvalidField("password_hash", f"bcrypt's cost is {BCRYPT_COST_MIN} to {BCRYPT_COST_MAX}")
        return hashed
    if found := ARGON2.fullmatch(hashed):
        kib, passes, lanes = (int(group) for group in found.groups())
        if not _is_affordable(kib, passes, lanes):
            bounds = f"m is at most {ARGON2_KIB_MAX}, m times t {ARGON2_KIB_PASSES_MAX}, p {ARGON2_LANES_MAX}"
            raise InvalidField("password_hash", f"of argon2's parameters, {bounds}, and m at least 8 times p")
        return hashed
    raise InvalidField("password_hash", "is neither a bcrypt hash ($2a$, $2b$, $2y$) nor an argon2 one (v=19)")


def _is_affordable(kib: int, passes: int, lanes: int) -> bool:
    fits = 8 * lanes <= kib <= ARGON2_KIB_MAX and 1 <= lanes <= ARGON2_LANES_MAX
    return fits and 1 <= passes <= ARGON2_KIB_PASSES_MAX // kib
