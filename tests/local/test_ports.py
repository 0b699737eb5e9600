"""Ports are chosen before anybody listens on them: one is not chosen twice."""

import pytest

from local import ports

FIRST, LAST = ports.FIRST - 10, ports.FIRST - 1


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Leave few ports to choose from, which no other test chooses from; return them."""
    monkeypatch.setattr(ports, "_promised", set())
    monkeypatch.setattr(ports, "FIRST", FIRST)
    monkeypatch.setattr(ports, "LAST", LAST)
    return {port for port in range(FIRST, LAST + 1) if ports.is_free(port)}


def test_a_port_is_chosen_once(few: set[int]) -> None:
    assert {ports.free() for _ in few} == few
    with pytest.raises(OSError, match="no free port"):
        ports.free()


def test_a_port_that_was_promised_is_not_chosen(few: set[int]) -> None:
    promised = min(few)
    ports.promise(promised)
    assert {ports.free() for _ in range(len(few) - 1)} == few - {promised}
