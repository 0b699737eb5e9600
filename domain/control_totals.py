"""Control totals: what a file says in sum, and what came of it."""

from collections.abc import Iterable

import msgspec

from domain.imported_wallets import ImportedWallet


class Holding(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    wallets: int = 0
    balance_minor: int = 0


class Totals(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Customers, and by currency wallets and what they held when they came."""

    customers: int = 0
    currencies: dict[str, Holding] = {}

    def count(self, wallets: Iterable[ImportedWallet]) -> None:
        for one in wallets:
            holding = self.currencies.setdefault(one.currency, Holding())
            holding.wallets += 1
            holding.balance_minor += one.balance


def added(totals: Iterable[Totals]) -> Totals:
    result = Totals()
    for one in totals:
        _add(result, one, 1)
    return result


def less(whole: Totals, part: Totals) -> Totals:
    result = added([whole])
    _add(result, part, -1)
    return result


def _add(result: Totals, one: Totals, sign: int) -> None:
    result.customers += sign * one.customers
    for currency, holding in one.currencies.items():
        held = result.currencies.setdefault(currency, Holding())
        held.wallets += sign * holding.wallets
        held.balance_minor += sign * holding.balance_minor


def differences(expected: Totals, found: Totals) -> list[str]:
    """Return a sentence for each figure that is not the expected one."""
    said = []
    if expected.customers != found.customers:
        said.append(f"customers: expected {expected.customers}, found {found.customers}")
    for currency in sorted(expected.currencies.keys() | found.currencies.keys()):
        wanted = expected.currencies.get(currency, Holding())
        held = found.currencies.get(currency, Holding())
        said += [
            f"{currency} {name}: expected {getattr(wanted, name)}, found {getattr(held, name)}"
            for name in Holding.__struct_fields__
            if getattr(wanted, name) != getattr(held, name)
        ]
    return said
