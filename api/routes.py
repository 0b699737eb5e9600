"""Every route that clients build on; the documentation page and the description of these routes stand beside them."""

from collections.abc import Sequence

from litestar.handlers import HTTPRouteHandler

from api import (
    actions,
    bulk_transfers,
    chain,
    customers,
    deliveries,
    events,
    health,
    jobs,
    metrics,
    replays,
    secrets,
    sessions,
    states,
    transactions,
    wallets,
    webhooks,
)

ROUTES: Sequence[HTTPRouteHandler] = [
    *customers.ROUTES,
    *sessions.ROUTES,
    *wallets.ROUTES,
    *states.ROUTES,
    *transactions.ROUTES,
    *bulk_transfers.ROUTES,
    *jobs.ROUTES,
    *events.ROUTES,
    *webhooks.ROUTES,
    *secrets.ROUTES,
    *replays.ROUTES,
    *deliveries.ROUTES,
    *actions.ROUTES,
    *chain.ROUTES,
    *health.ROUTES,
    *metrics.ROUTES,
]
