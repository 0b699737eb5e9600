"""Which function settles which kind of job: a new kind begins with a line here."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from db.engine import Connection
from domain.jobs import Claimed, Kind, Outcome
from workers import customers, replays, transactions, wallets

Settle: TypeAlias = Callable[[Connection, list[Claimed]], list[Outcome]]

SETTLERS: Mapping[Kind, Settle] = {
    Kind.CUSTOMER_REGISTER: customers.register,
    Kind.WALLET_OPEN: wallets.open_all,
    Kind.DEPOSIT_CREATE: transactions.settle,
    Kind.WITHDRAWAL_CREATE: transactions.settle,
    Kind.TRANSFER_CREATE: transactions.settle,
    Kind.BULK_TRANSFER_CREATE: transactions.settle,
    Kind.WEBHOOK_REPLAY: replays.replay,
}
