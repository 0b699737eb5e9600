"""Who calls, and what they may do."""

import hashlib
from enum import StrEnum
from uuid import UUID

import msgspec

KEY_PREFIX = "tk_"


class Scope(StrEnum):
    ALL = "*"  # The operator.
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    WALLETS_READ = "wallets:read"
    WALLETS_WRITE = "wallets:write"
    TRANSACTIONS_READ = "transactions:read"
    TRANSACTIONS_WRITE = "transactions:write"
    DEPOSITS_WRITE = "deposits:write"
    WITHDRAWALS_WRITE = "withdrawals:write"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    KEYS_WRITE = "keys:write"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A customer with an access token, or an API key."""

    subject: str  # `customer:<id>` or `key:<id>`: the caller of an idempotency key.
    customer_id: UUID | None = None
    key_id: UUID | None = None
    scopes: frozenset[str] = frozenset()

    def holds(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ALL in self.scopes

    def owns(self, customer_id: UUID | None) -> bool:
        return customer_id is not None and self.customer_id == customer_id


def customer(customer_id: UUID) -> Caller:
    return Caller(subject=f"customer:{customer_id}", customer_id=customer_id)


def key(key_id: UUID, scopes: frozenset[str]) -> Caller:
    return Caller(subject=f"key:{key_id}", key_id=key_id, scopes=scopes)


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who may call a route: anyone, any customer, any API key, or the API keys that hold `scope`."""

    anyone: bool = False
    customers: bool = False
    keys: bool = False
    scope: Scope | None = None

    @property
    def is_the_same_for_all(self) -> bool:
        """Whether it makes no difference who calls, so that nobody needs to be asked."""
        return self.anyone and not (self.customers or self.keys or self.scope)

    def is_open_to_read(self, method: str) -> bool:
        """Whether it is what all may read alike, such as probes and descriptions: nobody is counted there."""
        return self.is_the_same_for_all and method == "GET"

    def admits(self, caller: Caller) -> bool:
        if self.anyone:
            return True
        if caller.customer_id is not None:
            return self.customers
        return self.keys or (self.scope is not None and caller.holds(self.scope))


def digest(token: str) -> bytes:
    """Return what is stored of a key or refresh token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()
