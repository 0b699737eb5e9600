"""Who is let in while customers come over in steps, and what everybody else is told."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

import api.cohorts
from domain.access import Scope
from domain.cohorts import Cohort
from local.stack import Stack
from settings import Settings, SettingsError
from tests.api.clients import PASSWORD, Api, Customer, bare, deposit, log_in, problem, register, registration, transfer
from tests.api.conftest import FUNDS, NewKey
from tests.api.processes import serving

PILOT = "@pilot.example"

Enter = Callable[[Api, Customer], httpx2.Response]
ENTRANCES: dict[str, Enter] = {
    "registers": lambda api, _: api.post("/v1/customers", registration()),
    "registers with a token": lambda api, who: api.holding(who.access_token).post("/v1/customers", registration()),
    "logs in": lambda api, who: api.post("/v1/auth/login", {"email": who.registration["email"], "password": PASSWORD}),
    "refreshes": lambda api, who: api.post("/v1/auth/refresh", {"refresh_token": who.refresh_token}),
}


@pytest.fixture(scope="module")
def closed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API process that serves the pilot's customers only."""
    log: Path = tmp_path_factory.mktemp("log") / "api.log"
    with serving(stack.env, log, COHORT_PERCENT="0", COHORT_MEMBERS=PILOT) as api:
        yield api


@pytest.fixture
def eve(new_customer: Callable[..., Customer]) -> Customer:
    """A customer who was let in before."""
    return new_customer(FUNDS)


def pilot_email() -> str:
    return f"{uuid4().hex}{PILOT}"


@pytest.mark.parametrize("enter", ENTRANCES.values(), ids=ENTRANCES.keys())
def test_a_customer_whose_turn_has_not_come_is_told_so(closed: Api, eve: Customer, enter: Enter) -> None:
    body = problem(enter(closed, eve), 403, "not_admitted")

    assert "previous platform" in body["detail"]


def test_who_is_listed_registers_logs_in_and_stays(closed: Api) -> None:
    member = register(closed, email=pilot_email().upper())

    refreshed = closed.post("/v1/auth/refresh", {"refresh_token": member.refresh_token})

    assert refreshed.status_code == 200
    assert closed.holding(member.access_token).get("/v1/customers/me").json()["id"] == member.id


def test_who_holds_a_token_is_served_until_it_expires(closed: Api, eve: Customer, ann: Customer) -> None:
    caller = closed.holding(eve.access_token)

    assert caller.get("/v1/customers/me").status_code == 200
    assert caller.post("/v1/transfers", transfer(eve.wallet_id, ann.wallet_id)).status_code == 202


def test_a_refused_refresh_does_not_use_the_token_up(closed: Api, anyone: Api, eve: Customer) -> None:
    for _ in range(2):
        problem(closed.post("/v1/auth/refresh", {"refresh_token": eve.refresh_token}), 403, "not_admitted")

    assert anyone.post("/v1/auth/refresh", {"refresh_token": eve.refresh_token}).status_code == 200


def test_whoever_is_sent_away_may_still_log_out(closed: Api, eve: Customer) -> None:
    assert closed.post("/v1/auth/logout", {"refresh_token": eve.refresh_token}).status_code == 204


@pytest.mark.parametrize("token", ["", "unknown"])
def test_an_unknown_refresh_token_is_as_bad_as_ever(closed: Api, token: str) -> None:
    problem(closed.post("/v1/auth/refresh", {"refresh_token": token}), 401, "invalid_refresh_token")


def test_the_answer_to_a_login_tells_nobody_who_has_an_account(closed: Api, ann: Customer) -> None:
    addresses = [
        (ann.registration["email"], PASSWORD),
        (ann.registration["email"], "wrong horse"),
        ("x@y.rw", PASSWORD),
    ]

    answers = [closed.post("/v1/auth/login", {"email": email, "password": word}) for email, word in addresses]

    problem(answers[0], 403, "not_admitted")
    assert bare(answers[0]) == bare(answers[1]) == bare(answers[2])


def test_a_refused_registration_leaves_no_job_behind(closed: Api, anyone: Api) -> None:
    body, key = registration(), str(uuid4())
    problem(closed.post("/v1/customers", body, key=key), 403, "not_admitted")

    later = anyone.post("/v1/customers", body, key=key)

    assert later.status_code == 202
    assert "idempotency-hit" not in later.headers


@pytest.mark.parametrize(
    ("scope", "expected"), [(Scope.ALL, 202), (Scope.CUSTOMERS_WRITE, 202), (Scope.WALLETS_READ, 403)]
)
def test_a_program_that_may_register_customers_registers_whom_it_likes(
    closed: Api, new_key: NewKey, scope: Scope, expected: int
) -> None:
    key = closed.holding(new_key(scope).token)

    assert key.post("/v1/customers", registration()).status_code == expected


def test_operators_work_as_ever(closed: Api, operator: Api, ann: Customer) -> None:
    caller = closed.holding(operator.token)

    assert caller.get(f"/v1/customers/{ann.id}").status_code == 200
    assert caller.succeeded("/v1/deposits", deposit(ann.wallet_id))


def test_a_share_lets_in_just_those_whose_place_is_below_it(stack: Stack, anyone: Api, tmp_path: Path) -> None:
    half = Cohort(key=stack.env["INDEX_KEY"].encode(), percent=50)
    people = [register(anyone).registration["email"] for _ in range(8)]

    with serving(stack.env, tmp_path / "log", COHORT_PERCENT="50") as api:
        answers = [api.post("/v1/auth/login", {"email": email, "password": PASSWORD}) for email in people]

    assert [answer.status_code == 200 for answer in answers] == [half.admits(email) for email in people]


def test_everybody_is_served_unless_a_setting_says_otherwise(anyone: Api, ann: Customer) -> None:
    assert log_in(anyone, ann.registration["email"])
    assert api.cohorts.configured(Settings()).is_everybody


def test_members_that_cannot_be_read_stop_the_start() -> None:
    with pytest.raises(SettingsError, match="COHORT_MEMBERS: entry 2 is neither"):
        api.cohorts.configured(Settings(cohort_members="@example.com, nobody"))
