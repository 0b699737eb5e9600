import json

import pytest
import structlog

import logs

SECRET = "plain-text-secret"
MESSAGE = "first line\nDETAIL:  Failing row contains (ada@example.com).\nlast line"


def fail(password: str) -> None:
    raise ValueError(MESSAGE if password else "")


@pytest.mark.parametrize("mode", ["production", "development"])
def test_a_traceback_shows_neither_local_variables_nor_rows(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(mode)
    try:
        fail(SECRET)
    except ValueError:
        structlog.get_logger().exception("it failed")
    said = capsys.readouterr().out
    assert "ValueError: first line" in said
    assert SECRET not in said
    assert "ada@example.com" not in said


def test_production_logs_a_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("production")
    structlog.get_logger().info("swept", rung=2)
    assert json.loads(capsys.readouterr().out) | {"timestamp": ""} == {
        "event": "swept",
        "level": "info",
        "rung": 2,
        "timestamp": "",
    }
