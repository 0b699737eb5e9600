"""Hot wallets: every transfer credits one wallet, then every transfer debits one wallet."""

import msgspec

from bench import load
from bench.bank import Targets
from bench.bare import Bare
from bench.scene import Scene


class Hot(msgspec.Struct, frozen=True, kw_only=True):
    """Settled transfers per second; `hot_wallet_per_second` is the smaller of the two."""

    bare: Bare
    credit_per_second: float
    debit_per_second: float
    hot_wallet_per_second: float
    hot_wallet_ratio: float


def measure(scene: Scene) -> Hot:
    bare = scene.yardstick()
    hot, *others = scene.bank.accounts
    credit = _per_second(scene, Targets(sources=others, destinations=[hot.wallet_id]))
    debit = _per_second(scene, Targets(sources=[hot], destinations=scene.bank.wallets))
    return Hot(
        bare=bare,
        credit_per_second=credit,
        debit_per_second=debit,
        hot_wallet_per_second=min(credit, debit),
        hot_wallet_ratio=round(min(credit, debit) / bare.best, 3),
    )


def _per_second(scene: Scene, targets: Targets) -> float:
    options = scene.options
    return load.run(scene, targets, clients=options.clients, seconds=options.seconds).settled_per_second
