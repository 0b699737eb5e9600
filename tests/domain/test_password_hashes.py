"""Which hashes of a previous platform are taken over: those that a login can check, at a bearable price."""

import pytest

from domain.errors import InvalidField
from domain.password_hashes import require_known

SALT_AND_HASH = "Q9GvFiMtUEwpZbOMKpTuI.tO.neVRQpGa6YgXw51dfRSuWCNMjc8q"
ARGON2 = "$argon2{}$v=19$m={},t={},p={}$50hM6lHG1CQFz31n4Rsfsg$1Xup447U/jvrT9/s0KTjC7tIp2jMQ3/HpIr1I0BlwJY"

KNOWN = [
    *(f"$2{version}${cost}${SALT_AND_HASH}" for version in "aby" for cost in ("04", "10", "12")),
    *(ARGON2.format(kind, 4096, 3, 1) for kind in ("id", "i", "d")),
    ARGON2.format("id", 65_536, 4, 1),
    ARGON2.format("id", 131_072, 2, 16),
]
UNKNOWN = [
    "",
    "plain",
    f"$2x$10${SALT_AND_HASH}",
    f"$2b$10${SALT_AND_HASH}.",
    f"$2b$03${SALT_AND_HASH}",
    f"$2b$13${SALT_AND_HASH}",
    "5f4dcc3b5aa765d61d8327deb882cf99",
    ARGON2.format("x", 4096, 3, 1),
    ARGON2.format("id", 131_073, 1, 1),
    ARGON2.format("id", 65_536, 5, 1),
    ARGON2.format("id", 4096, 0, 1),
    ARGON2.format("id", 4096, 3, 17),
    ARGON2.format("id", 8, 3, 2),
]


@pytest.mark.parametrize("hashed", KNOWN)
def test_what_can_be_checked_is_taken_as_it_is(hashed: str) -> None:
    assert require_known(hashed) == hashed


@pytest.mark.parametrize("hashed", UNKNOWN)
def test_what_cannot_or_would_cost_a_login_too_much_is_refused(hashed: str) -> None:
    with pytest.raises(InvalidField) as refused:
        require_known(hashed)
    assert refused.value.field == "password_hash"
