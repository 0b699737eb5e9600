import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

import logs
from settings import Settings

SECRET = "plain-text-secret"
EMAIL = "ada@example.com"
MESSAGE = f"first line\nDETAIL:  Failing row contains ({EMAIL}, two\nlines, {SECRET}).\nHINT:  last line"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the process's logs as they were: pytest has its own."""
    kept = sys.excepthook, threading.excepthook, warnings.showwarning
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level
    sys.excepthook, threading.excepthook, warnings.showwarning = kept
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def fail(password: str) -> None:
    raise ValueError(MESSAGE if password else "")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_traceback_shows_neither_local_variables_nor_rows(log_format: Any, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format=log_format))
    for log in (structlog.get_logger(), logging.getLogger("celery")):
        try:
            fail(SECRET)
        except ValueError:
            log.exception("it failed")
    said = capfd.readouterr().out
    assert said.count("ValueError: first line") == said.count("HINT:  last line") == 2
    assert SECRET not in said
    assert EMAIL not in said


def test_an_event_is_a_json_object_with_what_is_bound(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings())
    with structlog.contextvars.bound_contextvars(request_id="one"):
        structlog.get_logger().info("swept", rung=2)
    [line] = lines(capfd)
    assert line.pop("timestamp").endswith("Z")
    assert list(line) == ["level", "event", "rung", "request_id"]
    assert list(line.values()) == ["info", "swept", 2, "one"]


@pytest.mark.parametrize("name", ["uvicorn.error", "celery.worker", "sqlalchemy.pool", "asyncio", "tornado.general"])
def test_what_a_library_logs_is_a_line_of_the_same_kind(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings())
    with structlog.contextvars.bound_contextvars(lease_id="one"):
        logging.getLogger(name).warning("said %s", "so", extra={"data": SECRET})
    [line] = lines(capfd)
    assert line.pop("timestamp")
    assert line == {"level": "warning", "event": "said so", "logger": name, "lease_id": "one"}


def test_a_record_that_cannot_be_read_does_not_fail_its_library(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings())
    logging.getLogger("library").warning("%d things", SECRET)
    [line] = lines(capfd)
    assert (line["event"], line["logger"]) == ("unreadable record", "library")
    assert SECRET not in str(line)


def test_a_warning_of_python_is_a_line_too(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("deprecated", stacklevel=1)
    [line] = lines(capfd)
    assert line["logger"] == "py.warnings"
    assert "deprecated" in line["event"]


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("debug", ["ours debug", "ours info", "ours error", "theirs info", "theirs error"]),
        ("info", ["ours info", "ours error", "theirs info", "theirs error"]),
        ("error", ["ours error", "theirs error"]),
    ],
)
def test_the_level_is_for_all_but_libraries_never_say_more_than_info(
    level: Any, said: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Settings(log_level=level))
    for whose, log in (("ours", structlog.get_logger()), ("theirs", logging.getLogger("kombu"))):
        for name in ("debug", "info", "error"):
            getattr(log, name)(f"{whose} {name}")
    assert [line["event"] for line in lines(capfd)] == said


def test_what_nobody_catches_is_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings())
    try:
        fail(SECRET)
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    thread = threading.Thread(target=fail, args=(SECRET,), name="bell")
    thread.start()
    thread.join()
    process, died = lines(capfd)
    assert process["event"] == "process died"
    assert (died["event"], died["thread"]) == ("thread died", "bell")
    assert SECRET not in str([process, died])


@pytest.mark.parametrize(
    "value", ["\ud800", object(), {1: 2}, {("a", "b"): 1}], ids=["surrogate", "object", "int", "tuple"]
)
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_value_is_a_reason_to_fail(value: object, log_format: Any, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format=log_format))
    structlog.get_logger().info("odd", value=value)
    assert capfd.readouterr().out.count("odd") == 1


@pytest.mark.parametrize(("error", "is_shown"), [(ValueError("what?"), True), (ConnectionResetError("gone"), False)])
def test_a_traceback_is_shown_of_what_is_not_usual(error: Exception, *, is_shown: bool) -> None:
    assert logs.surprise(error, (OSError,)) is (error if is_shown else None)
