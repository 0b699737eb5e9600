"""Who is in a cohort: by name, by domain or by a share that only ever adds."""

import itertools

import pytest

from domain.cohorts import MEMBERS_MAX, PERCENT_MAX, Cohort, parse_members, place

KEY = b"a key that decides who comes early"
PEOPLE = [f"customer{number}@example.com" for number in range(20_000)]
# Five standard deviations of 20,000 fair draws at the worst share, a half: a fair hash is outside once in 1.7 million.
TOLERANCE = 5 * (0.5 * 0.5 * len(PEOPLE)) ** 0.5


def cohort(percent: int, *members: str, key: bytes = KEY) -> Cohort:
    return Cohort(key=key, percent=percent, members=frozenset(members))


def admitted(one: Cohort) -> set[str]:
    return {email for email in PEOPLE if one.admits(email)}


@pytest.mark.parametrize(
    ("percent", "members", "email", "expected"),
    [
        (100, [], "ann@example.com", True),
        (100, [], "no e-mail", True),
        (0, [], "ann@example.com", False),
        (0, [], "no e-mail", False),
        (0, ["ann@example.com"], "ann@example.com", True),
        (0, ["ann@example.com"], "bob@example.com", False),
        (0, ["ann@example.com"], "ann@example.com.rw", False),
        (0, ["@example.com"], "ann@example.com", True),
        (0, ["@example.com"], "ann@mail.example.com", False),
        (0, ["@example.com"], "ann@notexample.com", False),
        (0, ["@example.com"], "example.com", False),
        (0, ["@example.com"], "", False),
        (1, ["ann@example.com"], "ann@example.com", True),
    ],
)
def test_members_are_in_whatever_the_share_is(percent: int, members: list[str], email: str, expected: object) -> None:
    assert cohort(percent, *members).admits(email) is expected


@pytest.mark.parametrize("percent", [0, 1, 5, 10, 20, 50, 99, 100])
def test_a_share_of_customers_is_about_that_share(percent: int) -> None:
    assert len(admitted(cohort(percent))) == pytest.approx(len(PEOPLE) * percent / 100, abs=TOLERANCE)


def test_who_is_in_stays_in_when_the_share_grows() -> None:
    few = PEOPLE[:2_000]  # Twenty a percent.
    steps = [{email for email in few if cohort(percent).admits(email)} for percent in range(PERCENT_MAX + 1)]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(steps))


def test_a_place_is_the_percent_that_lets_a_customer_in() -> None:
    places = {email: place(email, KEY) for email in PEOPLE[:100]}
    assert all(
        not cohort(percent).admits(email) and cohort(percent + 1).admits(email) for email, percent in places.items()
    )


def test_places_stay_where_they_are_from_release_to_release() -> None:
    assert [place(email, KEY) for email in PEOPLE[:5]] == [25, 33, 88, 42, 63]


def test_another_key_chooses_others() -> None:
    ours, theirs = (admitted(cohort(50, key=key)) for key in (KEY, b"another key"))
    assert len(ours & theirs) == pytest.approx(len(PEOPLE) / 4, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        (" \n", set()),
        ("ann@example.com", {"ann@example.com"}),
        ("Ann@Example.COM", {"ann@example.com"}),
        ("ann@example.com,bob@example.com", {"ann@example.com", "bob@example.com"}),
        ("ann@example.com\r\nbob@example.com\n", {"ann@example.com", "bob@example.com"}),
        ("ann@example.com, @Example.org", {"ann@example.com", "@example.org"}),
        ("ann@example.com ann@example.com", {"ann@example.com"}),
        ("@tekana-smoke.test", {"@tekana-smoke.test"}),
    ],
)
def test_members_are_read_from_text(text: str, expected: set[str]) -> None:
    assert parse_members(text) == expected


@pytest.mark.parametrize(
    "entry", ["ann", "@", "ann@", "ann@example", "@@example.com", "ann@example.com;bob@example.com"]
)
def test_what_is_no_member_is_named_by_its_number_and_not_repeated(entry: str) -> None:
    with pytest.raises(ValueError, match=r"entry 2 is neither an e-mail address nor @domain$"):
        parse_members(f"bob@example.com\n{entry}")


def test_more_members_than_a_process_should_keep_are_refused() -> None:
    with pytest.raises(ValueError, match="100001 entries"):
        parse_members("a@example.com\n" * (MEMBERS_MAX + 1))
