"""The operator's verbs about who logs in. Each loads the API when it runs: the web framework comes with it."""

import sys
from typing import TextIO

import click
import msgspec
import redis

import db.actions
import db.customers
import domain.actions
import process
import redis_clients
from db.engine import transaction
from domain.actions import Action, NewAction
from domain.cohorts import PERCENT_MAX
from domain.customers import normal_email
from domain.errors import InvalidField
from settings import require, settings

REDIS_SECONDS_MAX = 5.0  # An operator waits longer than a login does.


@click.command("cohort")
@click.option("--percent", type=click.IntRange(0, PERCENT_MAX), help="As if COHORT_PERCENT were this.")
@click.argument("emails", type=click.File("r"), default="-")
def print_cohort(percent: int | None, emails: TextIO) -> None:
    """Print those of the e-mail addresses in a file, or on standard input, whose customers are served here."""
    config = settings()
    require(config, "index_key")
    if percent is not None:
        config = msgspec.structs.replace(config, cohort_percent=percent)
    import api.cohorts  # noqa: PLC0415 - as said above

    cohort = api.cohorts.configured(config)
    for number, line in enumerate(emails, start=1):
        try:
            email = normal_email(line.strip())
        except InvalidField:
            sys.exit(f"tekana: line {number} is no e-mail address")
        if cohort.admits(email):
            click.echo(email)


@click.command("unlock")
@click.argument("email")
def unlock(email: str) -> None:
    """Let a customer log in at once who has to wait because logins for their e-mail failed."""
    config = settings()
    require(config, "database_url", "redis_url", "index_key", "pii_keys")
    import api.lockouts  # noqa: PLC0415 - as said above
    from api.pii import Vault  # noqa: PLC0415 - likewise

    try:
        normal = normal_email(email)
        with (
            transaction(config.database_url) as tx,
            redis_clients.connect(config.redis_url, timeout_seconds=REDIS_SECONDS_MAX) as client,
        ):
            customer = db.customers.find_by_email(tx, normal)
            if customer is None:
                sys.exit("tekana: no customer has this e-mail")
            counters = api.lockouts.lift(client, Vault(config.pii_keys, config.index_key).index("email", normal))
            actor = domain.actions.command(process.account())
            action = NewAction(actor=actor, action=Action.LOGIN_UNLOCK, object=str(customer.id))
            db.actions.record(tx, action)
    except InvalidField as error:
        sys.exit(f"tekana: {error.message}")
    except redis.RedisError as error:
        sys.exit(f"tekana: Redis is away, or refused: {error}")
    click.echo(f"{customer.id} may log in; failures were counted in {counters} places.")
