"""The chain of the ledger: blocks of transactions, each with a hash over the block before it.

Who keeps a head elsewhere sees whether anything that was posted before it was changed, taken away or put in between,
also by somebody who holds every key and password of the system.
"""

from datetime import datetime
from typing import Annotated

import msgspec


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What to keep of a block."""

    block: Annotated[int, msgspec.Meta(ge=0, description="Its number: it grows by one.")]
    head: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", description="SHA-256 of all up to its end, in hex.")]


class Block(Head, frozen=True, kw_only=True):
    transactions: Annotated[int, msgspec.Meta(ge=0, description="Up to its end, of all blocks.")]
    sealed_at: datetime
