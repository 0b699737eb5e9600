"""What a receiver's answer means: arrived, once more and when, or never again."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain.deliveries import Answer, DeliveryState
from domain.retries import (
    ATTEMPTS_MAX,
    DELAY_SECONDS_MAX,
    JITTER,
    RETRY_AFTER_SECONDS_MAX,
    THROTTLING,
    Schedule,
    Verdict,
    parse_delays,
    retry_after_seconds,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DELAYS = [0, 5, 300, 1_800]
SCHEDULE = Schedule(delays=DELAYS)
SUCCEEDED = Verdict(state=DeliveryState.SUCCEEDED)
FAILED = Verdict(state=DeliveryState.FAILED)
GONE = Verdict(state=DeliveryState.FAILED, is_gone=True)
LAST = len(DELAYS)
DAY = 86_400


def later(delay: float, pause: float = 0.0) -> Verdict:
    return Verdict(state=DeliveryState.PENDING, delay_seconds=delay, pause_seconds=pause)


def answer(status: int | None = None, retry_after: str | None = None, error: str | None = None) -> Answer:
    return Answer(duration_ms=1, status=status, retry_after=retry_after, error=error)


def judged(given_answer: Answer, attempt: int = 1, jitter: float = 0.0) -> Verdict:
    return SCHEDULE.judge(given_answer, attempt, now=NOW, jitter=jitter)


@pytest.mark.parametrize(
    ("status", "first", "last"),
    [
        (200, SUCCEEDED, SUCCEEDED),
        (201, SUCCEEDED, SUCCEEDED),
        (204, SUCCEEDED, SUCCEEDED),
        (299, SUCCEEDED, SUCCEEDED),
        (199, later(5), FAILED),
        (300, later(5), FAILED),
        (301, later(5), FAILED),
        (302, later(5), FAILED),
        (304, later(5), FAILED),
        (308, later(5), FAILED),
        (400, later(5), FAILED),
        (401, later(5), FAILED),
        (404, later(5), FAILED),
        (408, later(5), FAILED),
        (410, GONE, GONE),
        (411, later(5), FAILED),
        (429, later(5), FAILED),
        (500, later(5), FAILED),
        (502, later(5), FAILED),
        (503, later(5), FAILED),
        (504, later(5), FAILED),
        (599, later(5), FAILED),
        (None, later(5), FAILED),
    ],
)
def test_a_status_decides_after_the_first_attempt_and_after_the_last(
    status: int | None, first: Verdict, last: Verdict
) -> None:
    assert judged(answer(status)) == first
    assert judged(answer(status), LAST) == last


@pytest.mark.parametrize("error", ["timed_out", "connection_lost"])
def test_an_answer_that_broke_off_is_no_success_whatever_it_began_with(error: str) -> None:
    assert judged(answer(200, error=error)) == later(5)
    assert judged(answer(error=error), LAST) == FAILED


@pytest.mark.parametrize(("attempt", "expected"), [(1, later(5)), (2, later(300)), (3, later(1_800)), (4, FAILED)])
def test_each_failure_is_followed_by_the_next_wait_of_the_schedule(attempt: int, expected: Verdict) -> None:
    assert judged(answer(500), attempt) == expected


def test_more_attempts_than_a_shortened_schedule_has_are_the_last() -> None:
    assert judged(answer(500), LAST + 5) == FAILED


def test_a_schedule_of_one_attempt_has_no_second() -> None:
    assert Schedule(delays=[0]).judge(answer(500), 1, now=NOW, jitter=0.5) == FAILED


@pytest.mark.parametrize(("jitter", "expected"), [(0.0, 300.0), (0.5, 330.0), (1.0, 360.0)])
def test_an_attempt_comes_up_to_a_fifth_later_than_planned(jitter: float, expected: float) -> None:
    assert judged(answer(500), 2, jitter).delay_seconds == pytest.approx(expected)


@given(some.floats(0, 1), some.integers(1, LAST - 1))
def test_an_attempt_comes_never_earlier_than_planned(jitter: float, attempt: int) -> None:
    planned = DELAYS[attempt]
    assert planned <= judged(answer(500), attempt, jitter).delay_seconds <= planned * (1 + JITTER)


@pytest.mark.parametrize("status", sorted(THROTTLING))
@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        (None, later(300)),
        ("", later(300)),
        ("soon", later(300)),
        ("-5", later(300)),
        ("0", later(300)),
        ("7", later(300, 7)),  # Sooner than planned: the plan holds, but nothing else is sent until then.
        ("301", later(301, 301)),
        (" 301 ", later(301, 301)),
        (str(10**30), later(DAY, DAY)),
        ("Mon, 23 Nov 2026 12:10:00 GMT", later(600, 600)),
        ("Mon, 23 Nov 2026 11:00:00 GMT", later(300)),
        ("Mon, 23 Nov 2099 11:00:00 GMT", later(DAY, DAY)),
    ],
)
def test_a_receiver_with_too_much_to_do_is_left_alone_for_as_long_as_it_says(
    status: int, retry_after: str | None, expected: Verdict
) -> None:
    assert judged(answer(status, retry_after), 2) == expected


@pytest.mark.parametrize("status", sorted(THROTTLING))
def test_after_the_last_attempt_the_others_still_wait_as_long_as_it_says(status: int) -> None:
    assert judged(answer(status, "60"), LAST) == Verdict(state=DeliveryState.FAILED, pause_seconds=60)


@pytest.mark.parametrize("status", [301, 400, 408, 500, 501, None])
def test_nobody_else_may_ask_us_to_wait(status: int | None) -> None:
    assert judged(answer(status, "3600")) == later(5)


def test_jitter_makes_no_wait_shorter_than_what_was_asked_for() -> None:
    assert judged(answer(503, "310"), 2, 0.01).delay_seconds == 310
    assert judged(answer(503, "310"), 2, 1.0) == later(360, 310)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, 0),
        ("0", 0),
        ("120", 120),
        ("00120", 120),
        (str(DAY), DAY),
        (str(DAY + 1), DAY),
        ("9" * 10_000, DAY),
        ("-1", 0),
        ("+1", 0),
        ("1.5", 0),
        ("1e3", 0),
        ("0x10", 0),
        ("1_000", 0),
        ("²", 0),  # A digit to Python, and none to RFC 9110.
        ("٣", 0),
        ("1 2", 0),
        ("120, 60", 0),
        ("nonsense", 0),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30),
        ("Mon, 23 Nov 2026 12:00:30 -0000", 30),
        ("Mon, 23 Nov 2026 14:00:30 +0200", 30),
        ("Monday, 23-Nov-26 12:00:30 GMT", 30),
        ("Mon Nov 23 12:00:30 2026", 30),
        ("Mon, 23 Nov 2026 11:59:59 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Mon, 23 Nov 9999 12:00:00 GMT", DAY),
        ("Mon, 99 Nov 2026 12:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 25:61:61 GMT", 0),
        ("2026-11-23T13:00:00Z", 0),
        ("Mon, 23 Nov 99999999999999999999 12:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 12:00:00 +99999999999999999999", 0),
    ],
)
def test_a_retry_after_is_seconds_or_a_date_and_at_most_a_day(header: str | None, expected: float) -> None:
    assert retry_after_seconds(header, NOW) == expected


@given(some.text(some.sampled_from('0123456789 :-+,.;()GMTJanFebNovMon"\\'), max_size=64))
def test_no_header_makes_it_stumble(header: str) -> None:
    assert 0 <= retry_after_seconds(header, NOW) <= RETRY_AFTER_SECONDS_MAX


@given(some.integers(0, RETRY_AFTER_SECONDS_MAX))
def test_seconds_and_the_date_that_they_end_at_say_the_same(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_seconds(str(seconds), NOW) == retry_after_seconds(date, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", [0]),
        ("0,5,300", [0, 5, 300]),
        (" 0 , 5 ", [0, 5]),
        (f"{DELAY_SECONDS_MAX}", [DELAY_SECONDS_MAX]),
        (",".join(["1"] * ATTEMPTS_MAX), [1] * ATTEMPTS_MAX),
    ],
)
def test_a_schedule_is_read_as_whole_seconds(text: str, expected: list[int]) -> None:
    assert parse_delays(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ",",
        "0,",
        ",5",
        "0,,5",
        "0;5",
        "5s",
        "0,1.5",
        "0,-5",
        "0,1e3",
        "0,soon",
        f"0,{DELAY_SECONDS_MAX + 1}",
        ",".join(["1"] * (ATTEMPTS_MAX + 1)),
        "9" * 5_000,
    ],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"waits|int"):
        parse_delays(text)
