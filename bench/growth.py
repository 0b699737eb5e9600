"""Growth: what ten thousand customers see, and what they see when there are a million."""

import importlib
import statistics
from collections.abc import Callable

import msgspec

from bench import audited, load, pages
from bench.bank import Targets
from bench.figures import Spread
from bench.options import Options
from bench.scene import Scene, opened
from local.stack import Stack

TURNS = 3  # Of load at each size; the middle counts.
SMALL = 10_000  # Customers of the small one,
WALLETS_OF_TEN = 12  # for ten of whom there are so many wallets,
ENTRIES_OF_ONE = 10  # and for each so many lines of statements: a platform after a year.
RECEIVERS = 100_000  # Wallets, out of all, that money comes to: more than any cache of ours holds.
DRAWN = """
    SELECT CAST(id AS text) FROM wallets
     WHERE customer_id IS NOT NULL AND currency = 'RWF' ORDER BY random() LIMIT %(most)s
"""
COUNTED = "SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM wallets), (SELECT count(*) FROM entries)"


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """One database; counted before anything was measured."""

    customers: int
    wallets: int
    entries: int
    transfers_per_second: float
    audit_seconds: float
    pages: dict[str, Spread]


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """`ratios`: throughput with so many entries over that of the small; `page_ratios`: the same of each page's p99."""

    ratios: dict[str, float]
    worst_page_ratio: float
    page_ratios: dict[str, float]
    sizes: dict[str, Size]


def measure(options: Options, say: Callable[[str], None]) -> Growth:
    """Measure a small and a large database, each on servers of its own that are filled before anything else runs."""
    small, large = (_size(options, say, customers) for customers in (SMALL, options.growth_customers))
    return compared(small, large)


def compared(small: Size, large: Size) -> Growth:
    shared = small.pages.keys() & large.pages.keys()
    ratios = {name: round(large.pages[name].p99 / small.pages[name].p99, 2) for name in sorted(shared)}
    return Growth(
        ratios={str(large.entries): round(large.transfers_per_second / small.transfers_per_second, 3)},
        worst_page_ratio=max(ratios.values()),
        page_ratios=ratios,
        sizes={str(one.entries): one for one in (small, large)},
    )


def _size(options: Options, say: Callable[[str], None], customers: int) -> Size:
    def prepare(stack: Stack) -> None:
        say(f"filling in {customers:,} customers")
        importlib.import_module("bench.fill").fill(
            stack.database_url,
            customers=customers,
            wallets=customers * WALLETS_OF_TEN // 10,
            entries=customers * ENTRIES_OF_ONE,
            seal_key=stack.env["SEAL_KEY"].encode(),
        )

    # Those who pay and are paid are of the filled ones, but for who logs in.
    few = msgspec.structs.replace(options, customers=options.callers)
    with opened(few, say, prepare) as scene:
        return _measured(scene)


def _measured(scene: Scene) -> Size:
    customers, wallets, entries = scene.database.row(COUNTED)
    receivers = [wallet for (wallet,) in scene.database.rows(DRAWN, most=RECEIVERS)]
    targets, options = Targets(sources=scene.bank.accounts, destinations=receivers), scene.options
    rounds = [load.run(scene, targets, clients=options.clients, seconds=options.seconds) for _ in range(TURNS)]
    per_second = statistics.median(one.settled_per_second for one in rounds)
    scene.say(f"  {entries:,} entries: {per_second:,.0f} /s")
    return Size(
        customers=customers,
        wallets=wallets,
        entries=entries,
        transfers_per_second=per_second,
        pages=pages.timed(scene),
        audit_seconds=round(audited.seconds(scene.stack), 1),
    )
