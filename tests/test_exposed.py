"""Every process says which release it is."""

import platform
import re

from prometheus_client import CollectorRegistry, Counter, generate_latest

import exposed
from process import version


def test_a_process_says_which_release_it_is_and_on_which_python() -> None:
    registry = CollectorRegistry()
    exposed.prepare(registry)
    labels = {"version": version(), "python": platform.python_version()}
    assert re.fullmatch(r"\d+\.\d+\.\d+", labels["version"])
    assert registry.get_sample_value("tekana_build_info", labels) == 1


def test_a_registry_is_prepared_once_however_often_it_is_asked() -> None:
    registry = CollectorRegistry()
    assert exposed.prepare(registry) is exposed.prepare(registry)


def test_nothing_tells_when_a_counter_was_made() -> None:
    registry = CollectorRegistry()
    exposed.prepare(registry)
    Counter("rung", "Rung.", registry=registry)
    assert b"_created" not in generate_latest(registry)
