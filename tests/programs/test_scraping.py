"""Prometheus' own tool reads what is to be scraped."""

import shutil
import subprocess
from pathlib import Path

CONFIGURATION = Path(__file__).parents[2] / "deploy/prometheus/prometheus.yml"


def test_prometheus_finds_nothing_wrong_with_its_configuration() -> None:
    program = shutil.which("promtool")
    assert program, "promtool is missing; on Debian and Ubuntu: apt-get install prometheus"
    judged = subprocess.run(
        [program, "check", "config", str(CONFIGURATION)], capture_output=True, text=True, check=False
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
