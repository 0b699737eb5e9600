"""How much is measured: one struct, whose defaults are those of `make bench`."""

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    seconds: int = 15  # Of load, in each run.
    bare_seconds: int = 5  # Of each client count of pgbench: its best of three is as steady as 15 s of ours.
    clients: int = 128  # Connections that post: more settle no more, as `clients` shows.
    customers: int = 10_000  # Each with a wallet that money comes to.
    callers: int = 128  # Customers who are logged in and pay: as many as there are connections.
    idle_transfers: int = 300  # One at a time: the third slowest is the 99th percentile.
    backlog: int = 30_000  # Jobs that wait when a worker starts: thirty full batches.
    soak_minutes: float = 30.0
    growth_customers: int = 1_000_000  # With 1.2 wallets and 10 entries each.
    import_customers: int = 1_000_000
    overload_minutes: float = 5.0
