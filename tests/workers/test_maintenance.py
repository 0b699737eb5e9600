from uuid import UUID

from tests import committed
from workers import maintenance


def test_a_fold_brings_the_systems_balances_up_to_date_and_a_second_one_changes_nothing(url: str) -> None:
    committed.opened(url, 5_00, 2_00)
    assert [maintenance.fold() for _ in range(2)] == [{"wallets": 1}, {"wallets": 0}]
    [row] = committed.execute(url, "SELECT balance FROM wallets WHERE type = 'cash_in' AND currency = 'RWF'")
    assert row.balance == -7_00


def test_a_purge_forgets_old_sessions_and_a_second_one_finds_none(url: str) -> None:
    customer_id = UUID(int=1)
    committed.execute(
        url,
        "INSERT INTO customers (id, full_name, email, national_id_sealed, national_id_index, password_hash)"
        f" VALUES ('{customer_id}', 'n', 'e', 's', 'i', 'h');"
        "INSERT INTO sessions (id, customer_id, expires_at)"
        f" VALUES (gen_random_uuid(), '{customer_id}', now() - interval '2 days')",
    )
    assert [maintenance.purge() for _ in range(2)] == [{"sessions": 1}, {"sessions": 0}]
