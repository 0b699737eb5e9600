"""Prometheus finds every process of this machine by what a stack leaves in its folder."""

from pathlib import Path

import msgspec
import yaml

from local import ports, scraping

TARGETS = {"api": 8000, "worker-wallets": 9001, "sweeper": 9002}


def test_each_process_has_a_port_of_its_own() -> None:
    names = [f"worker-{number}" for number in range(100)]
    chosen = scraping.choose_ports(names)
    assert list(chosen) == names
    assert len(set(chosen.values())) == len(names)


def test_each_process_is_a_target_by_the_job_that_the_rules_know_it_by(tmp_path: Path) -> None:
    scraping.write(tmp_path, TARGETS)
    targets = msgspec.json.decode((tmp_path / "targets.json").read_bytes())
    assert targets == [
        {"targets": [f"{ports.HOST}:8000"], "labels": {"job": "tekana-api", "process": "api"}},
        {"targets": [f"{ports.HOST}:9001"], "labels": {"job": "tekana-worker", "process": "worker-wallets"}},
        {"targets": [f"{ports.HOST}:9002"], "labels": {"job": "tekana-sweeper", "process": "sweeper"}},
    ]


def test_the_configuration_reads_the_targets_and_our_rules(tmp_path: Path) -> None:
    scraping.write(tmp_path, TARGETS)
    configuration = yaml.safe_load((tmp_path / "prometheus.yml").read_text(encoding="utf-8"))
    [scraped] = configuration["scrape_configs"]
    assert scraped["file_sd_configs"] == [{"files": [str(tmp_path / "targets.json")]}]
    [rules] = configuration["rule_files"]
    assert {path.name for path in Path(rules).parent.glob(Path(rules).name)} == {"alerts.yml", "recording.yml"}
