"""`python -m bench`: load the whole system and pgbench on one server, in turns; write bench/latest.json.

The ratio of the two is what counts: both share the machine's noise.
"""

import os
import sys
import tempfile
from pathlib import Path

import click

from bench import bare, drain, idle, load, plot, report, webhooks
from local.stack import Stack

GIVEN = {"DATABASE_URL", "DATABASE_URL_FILE", "REDIS_URL", "REDIS_URL_FILE"}  # Measured are servers of our own.

SETTINGS = {"API_PORT": "0", "FLOWER_PORT": "0", "LOG_FORMAT": "json"}  # Logs as in production: text costs more.


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Turns of pgbench and load.")
@click.option("--seconds", default=15, show_default=True, help="Length of a round of load.")
@click.option("--bare-seconds", default=5, show_default=True, help="Length of each pgbench client count.")
@click.option("--clients", default=64, show_default=True, help="Connections that post transfers.")
@click.option("--wallets", default=1_000, show_default=True, help="Wallets that the transfers cross.")
@click.option("--idle", "idle_transfers", default=300, show_default=True, help="Transfers one at a time.")
def main(*, rounds: int, seconds: int, bare_seconds: int, clients: int, wallets: int, idle_transfers: int) -> None:
    """Measure this machine."""
    environment = {name: value for name, value in os.environ.items() if name not in GIVEN}
    with tempfile.TemporaryDirectory(prefix="tekana-bench-") as folder:
        Path(folder).chmod(0o711)
        with Stack(Path(folder), environment | SETTINGS, say=_say) as stack:
            stack.start()
            bank = load.Bank(stack)
            _say(f"opening and funding {wallets} wallets")
            ids = bank.fund_wallets(wallets)
            bare.prepare(stack)
            _say(f"one at a time: {idle_transfers} transfers")
            quiet = idle.run(bank, ids, idle_transfers)
            _say(f"  p50 {quiet.p50_ms} ms, p99 {quiet.p99_ms} ms")
            loads, bares = [], []
            for turn in range(1, rounds + 1):
                bares.append(bare.run(stack, bare_seconds))
                loads.append(load.run(stack, bank, ids, clients=clients, seconds=seconds))
                _say(f"round {turn}: pgbench {bares[-1].best} /s, settled {loads[-1].settled_per_second} /s")
            _say("webhooks: a backlog, then 50 a second alone and beside a dead endpoint")
            told = webhooks.run(stack, bank, ids)
            _say(f"  {told.deliveries_per_second} /s, p50 {told.alone.p50_ms} ms, ratio {told.dead_endpoint_ratio}")
            _say("settling alone: a backlog, by one worker and by two")
            drained = drain.run(stack, bank, ids)
            _say(f"  {drained.one_worker_per_second} /s, {drained.two_workers_per_second} /s")
            stack.command("audit", "verify")
    found = report.report(loads, bares, idle=quiet, webhooks=told, drain=drained)
    path = report.write(found)
    plot.draw(found, path.with_suffix(".png"))
    _say(f"ratio {found.ratio}, {found.jobs_per_message} jobs per message; written to {path}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - progress


if __name__ == "__main__":
    main()
