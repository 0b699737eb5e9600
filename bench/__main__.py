"""`python -m bench`: load the whole system and pgbench on one server, in turns; write bench/latest.json.

Each part that is measured replaces what the file says of it and leaves the others as they are.
"""

import sys
from pathlib import Path

import click
import msgspec

from bench import latest, parts, table
from bench.course import Course, Failed
from bench.options import Options

DEFAULTS = Options()
OPTIONS = [
    click.Option([f"--{name.replace('_', '-')}", name], default=getattr(DEFAULTS, name), show_default=True)
    for name in Options.__struct_fields__
]


@click.command(params=OPTIONS)
@click.option(
    "--only", default="short", show_default=True, help=f"With commas: {', '.join([*parts.PARTS, *parts.GROUPS])}."
)
@click.option("--rounds", default=3, show_default=True, help="Runs of each part, of which the middle counts.")
@click.option("--into", default=latest.PATH, type=click.Path(path_type=Path), help="The file that results go into.")
def main(*, only: str, rounds: int, into: Path, **amounts: object) -> None:
    """Measure this machine."""
    try:
        names = parts.chosen(only)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--only") from error
    try:
        Course(msgspec.convert(amounts, Options), say, rounds=rounds, into=into).run(names)
    except Failed as error:
        sys.exit(f"bench: not measured: {error}")
    finally:
        click.echo(table.of(latest.load(into), names))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - progress


if __name__ == "__main__":
    main()
