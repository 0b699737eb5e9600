"""Letting a customer in who has to wait; the other verb here has its tests in tests/test_cli.py."""

import asyncio
from uuid import UUID

import pytest

from api.errors import LoginLocked
from api.lockouts import Lockouts
from api.pii import Vault
from db.engine import transaction
from local import ports
from settings import Settings
from tests import made
from tests.verbs import Tekana, lines


@pytest.fixture
def eve(fresh: Settings) -> UUID:
    with transaction(fresh.database_url) as tx:
        return made.customer(tx)


def email_of(customer: UUID) -> str:
    return f"{customer.hex}@example.rw"


def is_locked(config: Settings, customer: UUID, *, failures: int) -> bool:
    """Fail as often, then ask once more."""
    index = Vault(config.pii_keys, config.index_key).index("email", email_of(customer))

    async def ask() -> None:
        lockouts = Lockouts(Settings(redis_url=config.redis_url, login_failures_max=3))
        try:
            for _ in range(failures + 1):
                await lockouts.begin(index, "here", is_known=False)
        finally:
            await lockouts.close()

    try:
        asyncio.run(ask())
    except LoginLocked:
        return True
    return False


def test_who_has_to_wait_is_let_in_and_it_is_recorded_without_their_email(
    tekana: Tekana, fresh: Settings, eve: UUID
) -> None:
    assert is_locked(fresh, eve, failures=3)

    done = tekana("unlock", email_of(eve).upper())

    assert done.out == f"{eve} may log in; failures were counted in 2 places.\n"
    assert not is_locked(fresh, eve, failures=0)
    said = tekana("audit", "actions", "--action", "login.unlock")
    assert [(one["object"], one["actor"].partition(":")[0]) for one in lines(said)] == [(str(eve), "cli")]
    assert email_of(eve) not in said.out


@pytest.mark.parametrize(
    ("email", "said"),
    [
        ("nobody@example.rw", "tekana: no customer has this e-mail"),
        ("nobody", "tekana: An email address must have an @-sign."),
    ],
)
def test_who_is_no_customer_is_not_unlocked(tekana: Tekana, fresh: Settings, email: str, said: str) -> None:
    assert fresh
    done = tekana("unlock", email)

    assert (done.status, done.out, done.err) == (1, "", said)


def test_what_redis_did_not_forget_is_not_recorded(tekana: Tekana, eve: UUID) -> None:
    done = tekana("unlock", email_of(eve), REDIS_URL=f"redis://{ports.HOST}:{ports.free()}/0")

    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("tekana: Redis is away, or refused: ")
    assert lines(tekana("audit", "actions")) == []
