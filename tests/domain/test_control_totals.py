from domain.control_totals import Holding, Totals, added, differences, less

ONE = Totals(customers=2, currencies={"RWF": Holding(wallets=3, balance_minor=7)})
OTHER = Totals(customers=1, currencies={"USD": Holding(wallets=1, balance_minor=5)})


def test_what_is_added_can_be_taken_away() -> None:
    both = added([ONE, OTHER])
    assert differences(both, added([OTHER, ONE])) == []
    assert differences(added([ONE, Totals(currencies={"USD": Holding()})]), less(both, OTHER)) == []


def test_every_figure_that_differs_is_named() -> None:
    assert differences(ONE, OTHER) == [
        "customers: expected 2, found 1",
        "RWF wallets: expected 3, found 0",
        "RWF balance_minor: expected 7, found 0",
        "USD wallets: expected 0, found 1",
        "USD balance_minor: expected 0, found 5",
    ]
