"""`tekana import`: a previous platform's customers, wallets and opening balances (docs/import.md)."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console

import imports.calls
import imports.sample
import imports.verifying
from db.imports import Overtaken
from domain.control_totals import Totals
from imports.batches import ROWS
from imports.calls import Call
from imports.progress import Meter
from imports.source import Unreadable
from imports.summaries import Summary
from settings import Settings, require, settings

NEEDED = ("database_url", "index_key", "seal_key", "pii_keys")
EXISTING = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
ROWS_MAX = 50_000  # In one transaction: ten seconds, and 100 MB.
CUSTOMERS_MAX = 10_000_000  # Wallet and phone numbers of a sample stay unique up to there.

files = click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=EXISTING)
rejects = click.option(
    "--rejects",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="The folder for reject files; without it, they stand beside the files.",
)
batch_rows = click.option(
    "--batch-rows",
    type=click.IntRange(1, ROWS_MAX),
    default=ROWS,
    show_default=True,
    help="Rows in one transaction.",
)
expect = click.option(
    "--expect",
    type=EXISTING,
    help="A JSON file with the control totals that the files must have, as check prints them.",
)


@click.group("import")
def import_() -> None:
    """Bring over a previous platform's customers, wallets and opening balances."""


@import_.command("run")
@files
@rejects
@expect
@batch_rows
def run(paths: tuple[Path, ...], rejects: Path | None, expect: Path | None, batch_rows: int) -> None:
    """Import the files; go on where an earlier call was interrupted. Exit with 1 if a row was rejected."""
    _call(Call(paths=paths, rejects=rejects, expected=_expected(expect), batch_rows=batch_rows))


@import_.command("check")
@files
@rejects
@expect
def check(paths: tuple[Path, ...], rejects: Path | None, expect: Path | None) -> None:
    """Do all that `run` does but write: name every row that it would reject, and sum up the others."""
    _call(Call(paths=paths, rejects=rejects, expected=_expected(expect), is_dry=True))


@import_.command("verify")
@files
def verify(paths: tuple[Path, ...]) -> None:
    """Compare all files that were imported with what is here; print each difference. Exit with 1 if there is one."""
    config = settings()
    require(config, *NEEDED)
    found = 0
    with _saying_why(), _meter("verifying", paths) as meter:
        for difference in imports.verifying.verify(list(paths), config, meter.report):
            click.echo(msgspec.json.encode(difference))
            found += 1
    if found:
        sys.exit(f"tekana: {found} differences")
    click.echo(msgspec.json.encode({"ok": True, "files": len(paths)}))


@import_.command("sample")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--customers", type=click.IntRange(1, CUSTOMERS_MAX), default=1_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same files.")
def sample(folder: Path, customers: int, seed: int) -> None:
    """Write customers.csv, wallets.csv and totals.json of people who never were."""
    click.echo(msgspec.json.encode(imports.sample.write(folder, customers, seed)))


def _expected(path: Path | None) -> Totals | None:
    if path is None:
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Totals)
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{path.name}: {error}", param_hint="--expect") from error


def _call(call: Call) -> None:
    """Print the summary; exit with 1 when not everything is as it should be."""
    config = settings()
    require(config, *NEEDED)
    summary = _metered(call, config)
    click.echo(msgspec.json.encode(summary))
    for sentence in summary.differences:
        click.echo(f"tekana: {sentence}", err=True)
    if summary.rejected or summary.differences:
        sys.exit(f"tekana: {summary.rejected} rows rejected, {len(summary.differences)} totals differ")


def _metered(call: Call, config: Settings) -> Summary:
    with _saying_why(), _meter("checking" if call.is_dry else "importing", call.paths) as meter:
        return imports.calls.run(call, config, meter.report)


def _meter(what: str, paths: Sequence[Path]) -> Meter:
    return Meter(Console(stderr=True), what, sum(path.stat().st_size for path in paths))


@contextlib.contextmanager
def _saying_why() -> Iterator[None]:
    """End the command with a sentence when a file as a whole is not to be had."""
    try:
        yield
    except Unreadable as error:
        sys.exit(f"tekana: {error}")
    except Overtaken:
        sys.exit("tekana: another process imports the same file")
