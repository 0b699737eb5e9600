"""What can go wrong by the rules.

    ValueError
    └── InvalidField       a value breaks a rule; names the field and says the rule

Refusals of a well-formed job are not exceptions but values: see `Rejection`.
"""

from enum import StrEnum


class InvalidField(ValueError):
    """A value breaks a rule of its field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Rejection(StrEnum):
    """Why the rules said no. The order of the money movements' codes is their precedence."""

    SOURCE_NOT_FOUND = "source_not_found"
    DESTINATION_NOT_FOUND = "destination_not_found"
    SAME_WALLET = "same_wallet"
    SOURCE_CLOSED = "source_closed"
    DESTINATION_CLOSED = "destination_closed"
    SOURCE_FROZEN = "source_frozen"
    DESTINATION_FROZEN = "destination_frozen"
    CURRENCY_MISMATCH = "currency_mismatch"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    BALANCE_LIMIT_EXCEEDED = "balance_limit_exceeded"
    VELOCITY_COUNT_EXCEEDED = "velocity_count_exceeded"
    VELOCITY_AMOUNT_EXCEEDED = "velocity_amount_exceeded"

    EMAIL_TAKEN = "email_taken"
    NATIONAL_ID_TAKEN = "national_id_taken"
    CUSTOMER_NOT_FOUND = "customer_not_found"
    CUSTOMER_CLOSED = "customer_closed"
    CUSTOMER_FROZEN = "customer_frozen"
    WALLETS_NOT_CLOSED = "wallets_not_closed"
    WALLET_NOT_FOUND = "wallet_not_found"
    WALLET_CLOSED = "wallet_closed"
    BALANCE_NOT_ZERO = "balance_not_zero"

    ENDPOINT_NOT_FOUND = "endpoint_not_found"
    ENDPOINT_DISABLED = "endpoint_disabled"
    REPLAY_TOO_LARGE = "replay_too_large"


MESSAGES: dict[Rejection, str] = {
    Rejection.SOURCE_NOT_FOUND: "The source wallet does not exist.",
    Rejection.DESTINATION_NOT_FOUND: "The destination wallet does not exist.",
    Rejection.SAME_WALLET: "Source and destination are the same wallet.",
    Rejection.SOURCE_CLOSED: "The source wallet is closed.",
    Rejection.DESTINATION_CLOSED: "The destination wallet is closed.",
    Rejection.SOURCE_FROZEN: "The source wallet is frozen.",
    Rejection.DESTINATION_FROZEN: "The destination wallet is frozen.",
    Rejection.CURRENCY_MISMATCH: "The amount's currency is not the wallet's.",
    Rejection.INSUFFICIENT_FUNDS: "The source wallet's available balance is below the amount.",
    Rejection.BALANCE_LIMIT_EXCEEDED: "The destination wallet may not hold that much.",
    Rejection.VELOCITY_COUNT_EXCEEDED: (
        "As many movements have left the wallet, or its customer's wallets, in this hour or day (UTC) as may."
    ),
    Rejection.VELOCITY_AMOUNT_EXCEEDED: (
        "More would leave the wallet, or its customer's wallets of its currency, in this hour or day (UTC) than may."
    ),
    Rejection.EMAIL_TAKEN: "A customer with this e-mail exists.",
    Rejection.NATIONAL_ID_TAKEN: "A customer with this national id exists.",
    Rejection.CUSTOMER_NOT_FOUND: "The customer does not exist.",
    Rejection.CUSTOMER_CLOSED: "The customer is closed, and stays so.",
    Rejection.CUSTOMER_FROZEN: "The customer is frozen: unfreeze the customer first.",
    Rejection.WALLETS_NOT_CLOSED: "Not all of the customer's wallets are closed.",
    Rejection.WALLET_NOT_FOUND: "The wallet does not exist.",
    Rejection.WALLET_CLOSED: "The wallet is closed, and stays so.",
    Rejection.BALANCE_NOT_ZERO: "The wallet's balance, or what is held of it, is not zero.",
    Rejection.ENDPOINT_NOT_FOUND: "The webhook endpoint does not exist any more.",
    Rejection.ENDPOINT_DISABLED: "The webhook endpoint is switched off: enable it first.",
    Rejection.REPLAY_TOO_LARGE: "More than 1,000,000 events happened in that time: choose a shorter one.",
}
