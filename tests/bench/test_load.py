"""Which jobs are a round's, and what the numbers of others are read from."""

import time

import pytest
from uuid_utils.compat import uuid7

from bench.load import first_id
from bench.messages import rings
from bench.soak import trends
from bench.wrk import read, whole

RESULT = 'JSON {"requests": 10, "seconds": 1.0, "p50_ms": 1.5, "p99_ms": 2.5, "refused": %d, "broken": %d}\n'


def test_ids_from_before_are_not_of_this_round() -> None:
    began = time.time()
    assert first_id(began - 1) < uuid7()
    assert uuid7() < first_id(began + 60)


def test_rings_of_the_transactions_queue_count() -> None:
    page = (
        'tekana_rings_total{queue="transactions"} 7.0\n'
        'tekana_rings_total{queue="webhooks"} 5.0\n'
        "tekana_rings_failed_total 3.0\n"
    )
    assert (rings(page), rings("")) == (7.0, 0)


def test_what_wrk_saw_is_read_from_its_last_line() -> None:
    assert read("Running 1s test\n" + RESULT % (0, 0)).requests == 10


@pytest.mark.parametrize(("refused", "broken"), [(1, 0), (0, 1)])
def test_a_round_with_refused_or_broken_requests_is_none(refused: int, broken: int) -> None:
    with pytest.raises(RuntimeError, match=f"{refused} requests were refused, {broken} not answered"):
        whole(read(RESULT % (refused, broken)))


def test_a_script_that_breaks_is_no_result() -> None:
    with pytest.raises(RuntimeError, match="without a result"):
        read("lua: attempt to index a nil value")


def test_a_process_grows_by_what_it_gained_once_it_was_warm() -> None:
    cold = [(0.0, {"api": 10.0}), (10.0, {"api": 90.0})]
    warm = [(float(20 + 10 * turn), {"api": 100 + turn / 360}) for turn in range(8)]
    assert trends(cold + warm) == {"api": 1.0}
