"""The `tekana` command: each verb calls one function."""

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from uuid_utils.compat import uuid7

import api.verbs
import db.actions
import db.audit
import db.chain
import db.jobs
import db.keys
import db.schema
import db.sealed
import db.secrets
import db.webhooks
import doctor
import domain.actions
import domain.signatures
import domain.webhooks
import imports.verbs
import process
import smoke
from db.engine import Connection, DatabaseError, transaction
from domain.access import KEY_PREFIX, Scope, digest
from domain.actions import Action, NewAction
from domain.chain import Head
from domain.signatures import SECRET_BYTES
from sealing import Sealer
from settings import ENVIRONMENT_FILE, SettingsError, require, settings

KEY_BYTES = 32
ACTIONS_MAX = 10_000  # Of one call: some megabytes. `--before` goes on.
MIGRATION_LOOK_SECONDS = 1.0  # A migration takes seconds; nobody minds one more.
ERRORS = Console(stderr=True)  # Progress is for people; standard output is for machines.


def main() -> None:
    """Run the command; say in a sentence what went wrong, and exit with 1."""
    try:
        cli()
    except SettingsError as error:
        sys.exit(f"tekana: {error}")
    except DatabaseError as error:
        sys.exit(f"tekana: the database refused or is away: {error}")


@click.group()
@click.pass_context
def cli(context: click.Context) -> None:
    """Operate a Tekana installation; the environment says which (see .env.example)."""
    if context.invoked_subcommand != "run":
        adopt_local_stack()


def adopt_local_stack() -> None:
    """Speak to the system that `tekana run` left in DATA_DIR, unless the environment names another one."""
    path = Path(os.environ.get("DATA_DIR") or "var") / ENVIRONMENT_FILE
    if _is_set("DATABASE_URL") or not path.exists():
        return
    for name, value in msgspec.json.decode(path.read_bytes(), type=dict[str, str]).items():
        if not _is_set(name):
            os.environ[name] = value


def _is_set(name: str) -> bool:
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


@cli.command()
def run() -> None:
    """Start everything on this machine: servers, API, workers, Flower, demo data."""
    import local.run  # noqa: PLC0415 - needs the servers' wheels, which production does not install

    local.run.run()


@cli.command()
@click.option("--wait", is_flag=True, help="Change nothing: return when somebody else has brought it up to date.")
def migrate(wait: bool) -> None:  # noqa: FBT001 - click
    """Bring the database up to date, and give the API's and the workers' role their passwords."""
    config = settings()
    if wait:
        _wait_for_migration(config.database_api_url or config.database_worker_url or _owner_url())
        return
    require(config, "database_url", "database_api_url", "database_worker_url")
    with ERRORS.status("migrating"):
        db.schema.migrate(config.database_url, [config.database_api_url, config.database_worker_url])
    click.echo("The schema is up to date.")


def _wait_for_migration(url: str) -> None:
    """Wait, whoever we are, also for a database that is not there yet; the container's own deadline ends it."""
    while True:
        try:
            with transaction(url) as tx:
                if not db.schema.is_behind(tx):
                    break
        except DatabaseError as error:
            click.echo(f"The database refused or is away: {str(error).partition(chr(10))[0]}", err=True)
        time.sleep(MIGRATION_LOOK_SECONDS)
    click.echo("The schema is new enough.")


@cli.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each finding.")
def call_doctor(as_json: bool) -> None:  # noqa: FBT001 - click
    """Say what is configured, what answers, what is missing and how to mend it; exit with 1 if anything is."""
    table = Table("", "what", "finding", "remedy", box=None)
    ill = 0
    with ERRORS.status("looking"):
        for one in doctor.examine_environment():
            ill += not one.is_well
            if as_json:
                click.echo(msgspec.json.encode(one))
            table.add_row("ok" if one.is_well else "!!", one.subject, one.finding, one.remedy)
    if not as_json:
        Console().print(table)
    if ill:
        sys.exit(f"tekana: {ill} to mend")


@cli.group()
def keys() -> None:
    """API keys of operators and integrators."""


@keys.command("create")
@click.option("--name", required=True, help="What it is for.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice([scope.value for scope in Scope]))
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires; without, it does not.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def create_key(name: str, scopes: tuple[str, ...], days: int | None, as_json: bool) -> None:  # noqa: FBT001 - click
    """Create a key and print it: it is stored as a digest only, and shown this once."""
    token = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    key = db.keys.NewKey(id=uuid7(), name=name, digest=digest(token), scopes=sorted(set(scopes)), expires_at=expires_at)
    require(settings(), "webhook_keys")
    secret = domain.signatures.new_secret(secrets.token_bytes(SECRET_BYTES))
    sealed = Sealer(settings().webhook_keys, "WEBHOOK_KEYS").seal(secret)
    with transaction(_owner_url()) as tx:
        db.keys.insert(tx, key)
        db.secrets.rotate(tx, key.id, sealed)
        _record(tx, Action.KEY_CREATE, key.id, name=name, scopes=key.scopes, expires_at=expires_at)
    if as_json:
        click.echo(msgspec.json.encode({"id": key.id, "key": token, "callback_secret": secret}))
    else:
        click.echo(f"{key.id}  {token}\ncallbacks are signed with  {secret}\nKeep both: they are not shown again.")


@keys.command("revoke")
@click.argument("key_id", type=click.UUID)
def revoke_key(key_id: UUID) -> None:
    """End a key; it stops working within a second."""
    with transaction(_owner_url()) as tx:
        revoked = db.keys.revoke(tx, key_id)
        if revoked:
            _record(tx, Action.KEY_REVOKE, key_id)
    if not revoked:
        sys.exit(f"tekana: no key {key_id} that is still alive")
    click.echo(f"{key_id} is revoked.")


@keys.command("list")
def list_keys() -> None:
    """List all keys, as one line of JSON each."""
    with transaction(_owner_url()) as tx:
        for key in db.keys.every(tx):
            click.echo(msgspec.json.encode(key))


@cli.command("reseal")
def reseal() -> None:
    """Seal personal data and webhook secrets with the first of PII_KEYS and WEBHOOK_KEYS, after a new one came."""
    config = settings()
    require(config, "database_url", "pii_keys", "webhook_keys")
    personal = Sealer(config.pii_keys, "PII_KEYS")
    with transaction(config.database_url) as tx:  # First: what settles meanwhile may become a row behind the pages.
        waiting = db.sealed.waiting(tx, personal)
        _record(tx, Action.RESEAL, "all")
    try:
        _reseal(db.sealed.PERSONAL, personal)
        _reseal(db.sealed.OF_WEBHOOKS, Sealer(config.webhook_keys, "WEBHOOK_KEYS"))
    except db.sealed.Unopened as error:
        sys.exit(f"tekana: {error}")
    if waiting:
        sys.exit(
            f"tekana: still sealed with another key: registrations {', '.join(map(str, waiting))};"
            " run it again when they have ended, failed ones after `tekana jobs requeue`"
        )


def _reseal(columns: Iterable[db.sealed.Column], sealer: Sealer) -> None:
    for column in columns:
        page, done = db.sealed.NOTHING_YET, 0
        with ERRORS.status(f"sealing {column.table}.{column.name}"):
            while page.last is not None:
                with transaction(_owner_url()) as tx:
                    page = db.sealed.reseal(tx, column, sealer, page.last)
                done += page.count
        click.echo(f"{column.table}.{column.name}: {done} sealed anew")


@cli.group()
def jobs() -> None:
    """Jobs that need an operator."""


@jobs.command("requeue")
@click.argument("job_ids", nargs=-1, type=click.UUID)
@click.option("--all", "every", is_flag=True, help="All failed jobs.")
def requeue_jobs(job_ids: tuple[UUID, ...], every: bool) -> None:  # noqa: FBT001 - click
    """Give failed jobs a new set of attempts; the sweeper rings for them within a second or two."""
    if every == bool(job_ids):
        raise click.UsageError("name the jobs, or say --all")
    with transaction(_owner_url()) as tx:
        requeued = db.jobs.requeue(tx, None if every else job_ids)
        _record(tx, Action.JOB_REQUEUE, *requeued)
    for job_id in requeued:
        click.echo(job_id)
    missing = set(job_ids) - set(requeued)
    if missing:
        sys.exit(f"tekana: not failed, so not requeued: {', '.join(map(str, sorted(missing)))}")


@cli.group()
def audit() -> None:
    """Proofs that the books are right."""


@audit.command("verify")
@click.option("--as-of", help="When nothing may have been late, RFC 3339; without, now. For a database set back to it.")
@click.option("--head", "heads", multiple=True, metavar="BLOCK:HEAD", help="What `tekana audit head` said once.")
def verify_books(as_of: str | None, heads: Sequence[str]) -> None:
    """Check every invariant of jobs and ledger; name each row that breaks one, and exit with 1."""
    moment = None if as_of is None else _moment(as_of)
    kept = [_kept(head) for head in heads]
    config = settings()
    require(config, "database_url", "seal_key")
    findings = checks = 0
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=ERRORS) as progress:
        bar = progress.add_task("invariants", total=len(db.audit.CHECKS) + 1)
        for check, found in db.audit.verify(config.database_url, config.seal_key.encode(), moment, kept):
            checks += 1
            progress.update(bar, advance=1, description=check)
            for finding in found:
                findings += 1
                click.echo(msgspec.json.encode(finding))
    if findings:
        sys.exit(f"tekana: {findings} findings")
    click.echo(msgspec.json.encode({"ok": True, "checks": checks}))


@audit.command("head")
def head_of_chain() -> None:
    """Print the latest block of the ledger's hash chain; keep it where nobody who works here can write."""
    config = settings()
    require(config, "database_url")
    with transaction(config.database_url) as tx:
        click.echo(msgspec.json.encode(db.chain.latest(tx)))


def _kept(text: str) -> Head:
    block, _, head = text.partition(":")
    with contextlib.suppress(msgspec.ValidationError):
        return msgspec.convert({"block": block, "head": head}, Head, strict=False)
    raise click.BadParameter("a block's number, a colon, and its head of 64 hex digits", param_hint="--head")


@audit.command("actions")
@click.option("--action", type=click.Choice([action.value for action in Action]), help="Only actions of this kind.")
@click.option("--object", "of_object", help="Only what was done to the object with this id.")
@click.option("--before", type=click.UUID, help="Only those older than the action with this id.")
@click.option("--limit", type=click.IntRange(1, ACTIONS_MAX), default=50, show_default=True)
def list_actions(action: str | None, of_object: str | None, before: UUID | None, limit: int) -> None:
    """List what operators did, newest first, as one line of JSON each."""
    wanted = db.actions.Filter(action=Action(action) if action else None, object=of_object)
    with transaction(_owner_url()) as tx:
        for one in db.actions.page(tx, wanted, before, limit):
            click.echo(msgspec.json.encode(one))


def _moment(text: str) -> datetime:
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment
    raise click.BadParameter("a time with its zone, such as 2026-11-24T10:00:00Z", param_hint="--as-of")


@cli.group()
def webhooks() -> None:
    """Webhooks on a developer's machine."""


@webhooks.command("listen")
@click.option("--api-url", help="Where the API is; without it and --key, where `make run` serves.")
@click.option("--key", help="An API key with the scope webhooks:write.")
@click.option("--event-type", "event_types", multiple=True, default=["*"], show_default=True)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Of this machine; 0 chooses a free one.")
@click.option("--forward-to", metavar="URL", help="Pass each message on to this URL, and answer what it answers.")
def listen_to_webhooks(
    *, api_url: str | None, key: str | None, event_types: tuple[str, ...], port: int, forward_to: str | None
) -> None:
    """Print events as they are sent, one line of JSON each, until Ctrl-C."""
    import local.listen  # noqa: PLC0415 - a developer's tool, of no use to the other verbs

    if (api_url is None) != (key is None):
        raise click.UsageError("name --api-url and --key together, or neither")
    if api_url is None or key is None:
        running = local.listen.running(Path(os.environ.get("DATA_DIR") or "var"))
        api_url, key = running.api_url, running.operator_key
    options = local.listen.Options(api_url=api_url, key=key, event_types=event_types, port=port, forward_to=forward_to)
    local.listen.listen(options)


@cli.command("smoke")
@click.option("--api-url", help="Where the API is; without it, where `make run` serves.")
@click.option("--key", envvar="SMOKE_KEY", help="An API key with deposits:write, withdrawals:write and jobs:read.")
def call_smoke(api_url: str | None, key: str | None) -> None:
    """Register customers, move money and read it back on a running system; exit with 1 at the first thing wrong."""
    import local.listen  # noqa: PLC0415 - as below

    if api_url is None:
        running = local.listen.running(Path(os.environ.get("DATA_DIR") or "var"))
        api_url, key = running.api_url, key or running.operator_key
    if not key:
        raise click.UsageError("set SMOKE_KEY to an API key of the system")
    started = time.monotonic()
    try:
        for done in smoke.run(api_url, key):
            click.echo(f"ok  {done}")
    except smoke.Failed as error:
        sys.exit(f"tekana: smoke test of {api_url}: {error}")
    click.echo(f"{api_url} works ({time.monotonic() - started:.1f} s)")


cli.add_command(imports.verbs.import_)
cli.add_command(api.verbs.print_cohort)
cli.add_command(api.verbs.unlock)


def _record(tx: Connection, action: Action, *objects: UUID | str, **details: Any) -> None:
    """Record what this command did, in the transaction that does it."""
    actor = domain.actions.command(process.account())
    db.actions.record(tx, *(NewAction(actor=actor, action=action, object=str(one), details=details) for one in objects))


def _owner_url() -> str:
    require(settings(), "database_url")
    return settings().database_url


if __name__ == "__main__":
    main()
