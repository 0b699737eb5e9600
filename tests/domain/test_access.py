import hashlib
from uuid import UUID

import pytest

from domain import access
from domain.access import Access, Caller, Scope

CUSTOMER, STRANGER = UUID(int=1), UUID(int=2)
CUSTOMERS = access.customer(CUSTOMER)
OPERATOR = access.key(UUID(int=4), frozenset({"*"}))
READER = access.key(UUID(int=5), frozenset({"wallets:read"}))
NOBODY = access.key(UUID(int=6), frozenset())


@pytest.mark.parametrize(
    ("caller", "scope", "expected"),
    [
        (READER, Scope.WALLETS_READ, True),
        (READER, Scope.WALLETS_WRITE, False),
        (READER, Scope.ALL, False),
        (OPERATOR, Scope.ALL, True),
        (OPERATOR, Scope.KEYS_WRITE, True),
        (NOBODY, Scope.WALLETS_READ, False),
        (CUSTOMERS, Scope.WALLETS_READ, False),
    ],
)
def test_a_scope_is_held_by_name_or_by_the_operators_star(caller: Caller, scope: Scope, expected: object) -> None:
    assert caller.holds(scope) is expected


@pytest.mark.parametrize(
    ("route", "admitted"),
    [
        (Access(anyone=True), [CUSTOMERS, OPERATOR, READER, NOBODY]),
        (Access(customers=True), [CUSTOMERS]),
        (Access(keys=True), [OPERATOR, READER, NOBODY]),
        (Access(scope=Scope.WALLETS_READ), [OPERATOR, READER]),
        (Access(scope=Scope.WALLETS_WRITE), [OPERATOR]),
        (Access(customers=True, scope=Scope.WALLETS_READ), [CUSTOMERS, OPERATOR, READER]),
        (Access(customers=True, keys=True), [CUSTOMERS, OPERATOR, READER, NOBODY]),
        (Access(), []),
    ],
)
def test_a_route_admits_those_it_names_and_nobody_else(route: Access, admitted: list[Caller]) -> None:
    assert [caller for caller in (CUSTOMERS, OPERATOR, READER, NOBODY) if route.admits(caller)] == admitted


@pytest.mark.parametrize(
    ("caller", "owner", "expected"),
    [
        (CUSTOMERS, CUSTOMER, True),
        (CUSTOMERS, STRANGER, False),
        (CUSTOMERS, None, False),
        (OPERATOR, CUSTOMER, False),
        (OPERATOR, None, False),
    ],
)
def test_only_a_customer_owns_and_only_their_own(caller: Caller, owner: UUID | None, expected: object) -> None:
    assert caller.owns(owner) is expected


def test_a_key_and_a_customer_of_the_same_id_are_different_callers() -> None:
    assert access.key(CUSTOMER, frozenset()).subject == f"key:{CUSTOMER}"
    assert CUSTOMERS.subject == f"customer:{CUSTOMER}"


def test_a_tokens_digest_is_its_sha_256() -> None:
    assert access.digest("tk_x") == hashlib.sha256(b"tk_x").digest()
