"""Growth: what ten thousand customers see, and what they see when there are a million."""

import contextlib
import importlib
import statistics
from collections.abc import Callable, Iterator

import msgspec

from bench import audited, load, pages
from bench.bank import Targets
from bench.database import Database
from bench.figures import Spread
from bench.options import Options
from bench.scene import Scene, opened
from local.stack import Stack
from sealing import Sealer

TURNS = 3  # Of load at each size; the middle counts.
# Before them, unmeasured. Each page's first change after a checkpoint writes it into the WAL whole, and a large
# database has more pages: a platform meets them once in a checkpoint's five minutes, not in ten seconds out of ten.
WARM_UP_SECONDS = 60
SMALL = 10_000  # Customers of the small one,
WALLETS_OF_TEN = 12  # for ten of whom there are so many wallets,
ENTRIES_OF_ONE = 10  # and for each so many lines of statements: a platform after a year.
RECEIVERS = 100_000  # Wallets, out of all, that money comes to: more than any cache of ours holds.
DRAWN = """
    SELECT CAST(id AS text) FROM wallets
     WHERE customer_id IS NOT NULL AND currency = 'RWF' ORDER BY random() LIMIT %(most)s
"""
NATIONAL_ID = "1199080012345678"
UNSEALED = "UPDATE customers SET national_id_sealed = %(sealed)s WHERE national_id_sealed = ''"
COUNTED = "SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM wallets), (SELECT count(*) FROM entries)"


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """One database; counted and audited before anything was measured."""

    customers: int
    wallets: int
    entries: int
    transfers_per_second: float
    audit_seconds: float
    pages: dict[str, Spread]


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """`ratios`: throughput with so many entries over that of the small; `page_ratios`: the same of each page's p99.

    `audit_seconds` are of each size, by its entries.
    """

    ratios: dict[str, float]
    worst_page_ratio: float
    audit_seconds: dict[str, float]
    page_ratios: dict[str, float]
    sizes: dict[str, Size]


def measure(options: Options, say: Callable[[str], None]) -> Growth:
    """Measure a large and a small database in turns, each on servers of its own."""
    with _filled(options, say, options.growth_customers) as large, _filled(options, say, SMALL) as small:
        return compared(*_sizes([small, large]))


def compared(small: Size, large: Size) -> Growth:
    shared = small.pages.keys() & large.pages.keys()
    ratios = {name: round(large.pages[name].p99 / small.pages[name].p99, 2) for name in sorted(shared)}
    return Growth(
        ratios={str(large.entries): round(large.transfers_per_second / small.transfers_per_second, 3)},
        worst_page_ratio=max(ratios.values()),
        audit_seconds={str(one.entries): one.audit_seconds for one in (small, large)},
        page_ratios=ratios,
        sizes={str(one.entries): one for one in (small, large)},
    )


@contextlib.contextmanager
def _filled(options: Options, say: Callable[[str], None], customers: int) -> Iterator[Scene]:
    """Start the system on a database that was filled before any process of ours looks at it."""

    def prepare(stack: Stack) -> None:
        say(f"filling in {customers:,} customers")
        importlib.import_module("bench.fill").fill(
            stack.database_url,
            customers=customers,
            wallets=customers * WALLETS_OF_TEN // 10,
            entries=customers * ENTRIES_OF_ONE,
            seal_key=stack.env["SEAL_KEY"].encode(),
        )
        _settle_down(stack)

    # Who is paid is one of the filled ones; only those who log in are registered.
    with opened(msgspec.structs.replace(options, customers=options.callers), say, prepare) as scene:
        yield scene


def _settle_down(stack: Stack) -> None:
    """Give the filled customers a national id that lists can open, and leave nothing of the filling to be written."""
    sealed = Sealer(stack.env["PII_KEYS"], "PII_KEYS").seal(NATIONAL_ID)
    with contextlib.closing(Database(stack.database_url)) as database:
        database.run(UNSEALED, sealed=sealed)
        for statement in ("VACUUM (FULL, ANALYZE) customers", "CHECKPOINT"):
            database.run(statement)


def _sizes(scenes: list[Scene]) -> list[Size]:
    """Load and read in turns: filling takes minutes, and the machine is not the same at its end."""
    counted = [scene.database.row(COUNTED) for scene in scenes]
    audits = [round(audited.seconds(scene.stack), 1) for scene in scenes]
    for scene in scenes:
        scene.say("  warming up")
        _per_second(scene, WARM_UP_SECONDS)
    turns = [[_per_second(scene, scene.options.seconds) for scene in scenes] for _ in range(TURNS)]
    read = pages.timed(scenes)
    for scene in scenes:
        audited.seconds(scene.stack)
    return [
        Size(
            customers=counted[place][0],
            wallets=counted[place][1],
            entries=counted[place][2],
            transfers_per_second=statistics.median(turn[place] for turn in turns),
            pages=read[place],
            audit_seconds=audits[place],
        )
        for place in range(len(scenes))
    ]


def _per_second(scene: Scene, seconds: int) -> float:
    receivers = [wallet for (wallet,) in scene.database.rows(DRAWN, most=RECEIVERS)]
    targets = Targets(sources=scene.bank.accounts, destinations=receivers)
    found = load.run(scene, targets, clients=scene.options.clients, seconds=seconds).settled_per_second
    scene.say(f"  {found:,.0f} /s")
    return found
