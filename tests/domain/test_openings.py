"""Opening balances: sealed as the ledger seals what it settles, so that the audit needs no case of its own."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain.ledger import NO_SEAL, entry_seal, transaction_seal
from domain.openings import opening
from domain.transactions import Movement, TransactionKind
from domain.wallets import SystemWallet, system_id

KEY = b"k" * 32
ID, WALLET = UUID(int=1), UUID(int=2)
AT = datetime(2026, 11, 25, tzinfo=UTC)
MOVEMENT = Movement(amount=12_50, currency="USD", destination_wallet_id=WALLET, external_reference="W1")


def test_the_other_side_is_the_currencys_opening_wallet() -> None:
    assert opening(ID, MOVEMENT, AT, KEY).source_wallet_id == system_id(SystemWallet.OPENING, "USD")


def test_both_entries_are_sealed_over_the_transaction() -> None:
    one = opening(ID, MOVEMENT, AT, KEY)
    assert one.seal == transaction_seal(KEY, ID, TransactionKind.OPENING, MOVEMENT, posted_at=AT)
    assert one.wallet_seal == entry_seal(KEY, NO_SEAL, one.seal, (WALLET, 1, 12_50, 12_50))
    assert one.source_seal == entry_seal(KEY, NO_SEAL, one.seal, (one.source_wallet_id, None, -12_50, None))


def test_an_opening_without_a_wallet_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="has a wallet"):
        opening(ID, Movement(amount=1, currency="USD"), AT, KEY)
