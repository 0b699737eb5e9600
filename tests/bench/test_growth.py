from bench.figures import Spread
from bench.growth import Size, compared


def size(entries: int, per_second: float, audit_seconds: float = 1.0, **p99: float) -> Size:
    pages = {name: Spread(p50=1.0, p99=value, worst=9.0) for name, value in p99.items()}
    return Size(
        customers=1,
        wallets=1,
        entries=entries,
        transfers_per_second=per_second,
        audit_seconds=audit_seconds,
        pages=pages,
    )


def test_the_grown_is_compared_with_the_small_page_by_page() -> None:
    small, large = size(100, 1_000.0, 2.5, jobs=2.0, customers=4.0), size(10_000, 950.0, 60.5, jobs=3.0, customers=4.0)
    found = compared(small, large)
    assert (found.ratios, found.page_ratios) == ({"10000": 0.95}, {"customers": 1.0, "jobs": 1.5})
    assert found.audit_seconds == {"100": 2.5, "10000": 60.5}
    assert (found.worst_page_ratio, sorted(found.sizes)) == (1.5, ["100", "10000"])


def test_a_page_that_only_one_of_them_has_is_not_compared() -> None:
    found = compared(size(1, 1.0, jobs=2.0), size(2, 1.0, jobs=2.0, more=9.0))
    assert found.page_ratios == {"jobs": 1.0}
