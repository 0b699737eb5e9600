from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain.errors import InvalidField
from domain.events import EPOCH, MEANINGS, EventType, check_patterns, first_id, types_of
from domain.jobs import JobState, Kind

STATES = [JobState.SUCCEEDED, JobState.REJECTED, JobState.FAILED, JobState.CANCELED]
TOLD: dict[Kind, Sequence[str]] = {  # How the end of each kind is told, in the order of STATES.
    Kind.CUSTOMER_REGISTER: ["customer.registered", "job.rejected", "job.failed", "job.canceled"],
    Kind.WALLET_OPEN: ["wallet.opened", "job.rejected", "job.failed", "job.canceled"],
    Kind.CUSTOMER_FREEZE: ["customer.frozen", "job.rejected", "job.failed", "job.canceled"],
    Kind.CUSTOMER_UNFREEZE: ["customer.unfrozen", "job.rejected", "job.failed", "job.canceled"],
    Kind.CUSTOMER_CLOSE: ["customer.closed", "job.rejected", "job.failed", "job.canceled"],
    Kind.WALLET_FREEZE: ["wallet.frozen", "job.rejected", "job.failed", "job.canceled"],
    Kind.WALLET_UNFREEZE: ["wallet.unfrozen", "job.rejected", "job.failed", "job.canceled"],
    Kind.WALLET_CLOSE: ["wallet.closed", "job.rejected", "job.failed", "job.canceled"],
    Kind.DEPOSIT_CREATE: ["deposit.succeeded", "deposit.rejected", "deposit.failed", "deposit.canceled"],
    Kind.WITHDRAWAL_CREATE: [
        "withdrawal.succeeded",
        "withdrawal.rejected",
        "withdrawal.failed",
        "withdrawal.canceled",
    ],
    Kind.TRANSFER_CREATE: ["transfer.succeeded", "transfer.rejected", "transfer.failed", "transfer.canceled"],
    Kind.BULK_TRANSFER_CREATE: [
        "bulk_transfer.succeeded",
        "bulk_transfer.rejected",
        "bulk_transfer.failed",
        "bulk_transfer.canceled",
    ],
    Kind.WEBHOOK_REPLAY: ["job.succeeded", "job.rejected", "job.failed", "job.canceled"],
}
CASES = [(kind, state, told) for kind, row in TOLD.items() for state, told in zip(STATES, row, strict=True)]
MOMENTS = some.datetimes(min_value=datetime(1970, 1, 1), timezones=some.just(UTC))  # noqa: DTZ001 - the zone is beside it
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(("kind", "state", "told"), CASES)
def test_each_end_of_each_kind_is_told_by_one_type(kind: Kind, state: JobState, told: str) -> None:
    assert types_of(kind, state) == [told]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_stands_in_the_table_above(kind: Kind) -> None:
    assert len(TOLD[kind]) == len(set(JobState) - {JobState.QUEUED})


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (JobState.SUCCEEDED, ["customer.registered", "wallet.opened"]),
        (JobState.REJECTED, ["job.rejected"]),
        (JobState.FAILED, ["job.failed"]),
        (JobState.CANCELED, ["job.canceled"]),
    ],
)
def test_a_registration_that_opened_a_wallet_is_told_twice_and_only_if_it_did(state: JobState, told: list[str]) -> None:
    assert types_of(Kind.CUSTOMER_REGISTER, state, with_wallet=True) == told


def test_every_type_is_told_by_a_job_or_by_webhooks_themselves() -> None:
    by_jobs = {told for _, _, told in CASES}
    assert by_jobs | {"webhook_endpoint.disabled", "webhook.test"} == set(EventType)


def test_every_type_means_something_else() -> None:
    assert set(MEANINGS) == set(EventType)
    assert len(set(MEANINGS.values())) == len(EventType)
    assert all(meaning.endswith(".") for meaning in MEANINGS.values())


@pytest.mark.parametrize(
    "patterns",
    [
        [],
        ["*"],
        list(EventType),
        sorted({f"{one.noun}.*" for one in EventType}),
        ["transfer.*", "deposit.succeeded", "*", "*"],
    ],
)
def test_types_prefixes_and_the_star_are_patterns(patterns: list[str]) -> None:
    check_patterns(patterns, "event_types")


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        " ",
        "**",
        ".*",
        "*.*",
        "transfer",
        "transfer.",
        "transfer*",
        "transfer.**",
        "transfer.succ*",
        "*.succeeded",
        "Transfer.*",
        "TRANSFER.SUCCEEDED",
        " transfer.*",
        "transfer.*\n",
        "transfer.refunded",
        "refund.*",
        "transfer.succeeded,deposit.succeeded",
        "transfer.create",
    ],
)
def test_what_matches_no_type_is_no_pattern(pattern: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_patterns(["*", pattern], "event_types")
    assert caught.value.field == "event_types"
    assert repr(pattern) in caught.value.message


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (EPOCH, "00000000-0000-7000-8000-000000000000"),
        (EPOCH + MICROSECOND, "00000000-0000-7001-8000-000000000000"),
        (EPOCH + 999 * MICROSECOND, "00000000-0000-73e7-8000-000000000000"),
        (EPOCH + 1_000 * MICROSECOND, "00000000-0001-7000-8000-000000000000"),
        # The example of RFC 9562, appendix A.6, without its random bits.
        (datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC), "017f22e2-79b0-7000-8000-000000000000"),
        (
            datetime(2022, 2, 22, 14, 22, 22, tzinfo=timezone(-timedelta(hours=5))),
            "017f22e2-79b0-7000-8000-000000000000",
        ),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "e677d21f-dbff-73e7-8000-000000000000"),
        (datetime(1, 1, 1, tzinfo=UTC), "00000000-0000-7000-8000-000000000000"),
    ],
)
def test_the_first_id_of_a_moment_is_its_time_and_no_random_bit(moment: datetime, expected: str) -> None:
    assert first_id(moment) == UUID(expected)


@given(MOMENTS)
def test_the_first_id_of_a_moment_is_a_uuid_of_version_7(moment: datetime) -> None:
    found = first_id(moment)
    assert (found.version, found.variant) == (7, RFC_4122)
    assert found.int >> 80 == (moment - EPOCH) // timedelta(milliseconds=1)


@given(MOMENTS, MOMENTS)
def test_first_ids_are_in_the_order_of_their_moments(one: datetime, other: datetime) -> None:
    assert (first_id(one) < first_id(other)) is (one < other)


@given(MOMENTS)
def test_not_even_a_microsecond_shares_its_first_id_with_the_next(moment: datetime) -> None:
    assert first_id(max(moment, EPOCH + MICROSECOND) - MICROSECOND) < first_id(max(moment, EPOCH + MICROSECOND))
