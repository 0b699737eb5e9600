"""Which function settles which kind of job: a new kind begins with a line here."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from db.engine import Connection
from domain.jobs import Claimed, Kind, Outcome
from workers import customers, replays, transactions, wallets

Settle: TypeAlias = Callable[[Connection, list[Claimed]], list[Outcome]]

SETTLERS: Mapping[Kind, Settle] = {
    Kind.CUSTOMER_REGISTER: customers.settle,
    Kind.CUSTOMER_FREEZE: customers.settle,
    Kind.CUSTOMER_UNFREEZE: customers.settle,
    Kind.CUSTOMER_CLOSE: customers.settle,
    Kind.WALLET_OPEN: wallets.settle,
    Kind.WALLET_FREEZE: wallets.settle,
    Kind.WALLET_UNFREEZE: wallets.settle,
    Kind.WALLET_CLOSE: wallets.settle,
    Kind.DEPOSIT_CREATE: transactions.settle,
    Kind.WITHDRAWAL_CREATE: transactions.settle,
    Kind.TRANSFER_CREATE: transactions.settle,
    Kind.BULK_TRANSFER_CREATE: transactions.settle,
    Kind.WEBHOOK_REPLAY: replays.replay,
}
