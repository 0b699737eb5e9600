"""Money: an integer count of minor units and an ISO 4217 currency, never a float."""

from typing import Annotated

import iso4217
import msgspec

from domain.errors import InvalidField

AMOUNT_MAX = 10**15  # The contract's bound: 9,223 such amounts fit PostgreSQL's bigint.

Amount = Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX, description="Minor units of the currency (ISO 4217).")]
Currency = Annotated[str, msgspec.Meta(min_length=3, max_length=3, description="ISO 4217 code, such as RWF.")]

# Funds, metals and test codes have no exponent: nobody keeps a wallet in them.
CURRENCIES = frozenset(currency.code for currency in iso4217.Currency if currency.exponent is not None)


def require_currency(code: str) -> None:
    """Refuse a code that ISO 4217 does not list as money.

    Raises:
        InvalidField: `currency` is unknown.

    """
    if code not in CURRENCIES:
        raise InvalidField("currency", f"{code} is not an ISO 4217 currency code")
