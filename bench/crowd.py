"""Many customers at once: registrations put into the queue as the API would put them, and settled by the workers.

By HTTP each would cost 20 ms for the hash of its password, which is not what is measured here.
"""

import secrets
import uuid
from collections.abc import Mapping

import msgspec
from argon2 import PasswordHasher

from api.passwords import MEMORY_KIB, PASSES
from api.pii import Vault
from bench.database import Database
from bench.queued import stage, submission
from domain.customers import Registration
from domain.jobs import Kind
from domain.wallets import WalletRequest

PASSWORD = secrets.token_urlsafe(16)  # Of everybody: one hash is enough.
WALLETS = """
    SELECT customers.email, CAST(wallets.id AS text)
      FROM customers JOIN wallets ON wallets.customer_id = customers.id
     WHERE customers.email LIKE %(pattern)s
     ORDER BY customers.id
"""


class Person(msgspec.Struct, frozen=True):
    email: str
    wallet_id: str


def register(env: Mapping[str, str], database: Database, count: int) -> list[Person]:
    """Register customers with a wallet each; return when all are there.

    Raises:
        RuntimeError: fewer than that came to be.

    """
    vault = Vault(env["PII_KEYS"], env["INDEX_KEY"])
    hashed = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1).hash(PASSWORD)
    group = uuid.uuid4().hex
    wanted = [_registration(vault, f"{group}{number:07d}", hashed) for number in range(count)]
    stage(env, [submission(Kind.CUSTOMER_REGISTER, f"email:{one.email}", one) for one in wanted])
    database.wait_settled()
    found = [Person(email, wallet) for email, wallet in database.rows(WALLETS, pattern=f"bench-{group}%")]
    if len(found) != count:
        raise RuntimeError(f"{len(found)} of {count} customers were registered")
    return found


def _registration(vault: Vault, name: str, password_hash: str) -> Registration:
    national_id = name[-32:].upper()
    return Registration(
        full_name="Bench Customer",
        email=f"bench-{name}@example.com",
        national_id_sealed=vault.seal(national_id),
        national_id_index=vault.index("national_id", national_id),
        phone_sealed=None,
        phone_index=None,
        gender=None,
        password_hash=password_hash,
        wallet=WalletRequest(currency="RWF"),
    )
