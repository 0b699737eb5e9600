"""Replacing a key while processes with the old and the new settings run side by side."""

import base64
import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack
from tests.api.clients import Api, Customer, log_in, problem, register
from tests.api.processes import serving

NEW_KEY = "the next key is long enough for HS256 too"


@pytest.fixture(scope="module")
def steps(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Api]]:
    """API processes with the settings before, after each step, and at the end of replacing TOKEN_KEY."""
    old_key = stack.env["TOKEN_KEY"]
    settings = [
        {"TOKEN_KEY": old_key},
        {"TOKEN_KEY": old_key, "TOKEN_KEYS_ACCEPTED": NEW_KEY},
        {"TOKEN_KEY": NEW_KEY, "TOKEN_KEYS_ACCEPTED": old_key},
        {"TOKEN_KEY": NEW_KEY},
    ]
    log = tmp_path_factory.mktemp("log") / "api.log"
    with contextlib.ExitStack() as started:
        yield [started.enter_context(serving(stack.env, log, **changes)) for changes in settings]


def test_no_step_of_replacing_the_token_key_logs_anybody_out(steps: list[Api], ann: Customer) -> None:
    for before, after in itertools.pairwise(steps):
        for issuer, reader in itertools.product((before, after), repeat=2):
            token = log_in(issuer, ann.registration["email"])["access_token"]
            assert reader.holding(token).get("/v1/customers/me").status_code == 200


def test_a_replaced_token_key_makes_nothing_good_any_more(steps: list[Api], ann: Customer) -> None:
    token = log_in(steps[0], ann.registration["email"])["access_token"]

    problem(steps[3].holding(token).get("/v1/customers/me"), 401, "unauthenticated")


def test_no_step_of_replacing_a_sealing_key_hides_anything(stack: Stack, tmp_path: Path) -> None:
    old_key, new_key = stack.env["PII_KEYS"], f"new:{base64.b64encode(b'n' * 32).decode()}"
    steps = [old_key, f"{old_key},{new_key}", f"{new_key},{old_key}"]
    with contextlib.ExitStack() as started:
        apis = [started.enter_context(serving(stack.env, tmp_path / "log", PII_KEYS=keys)) for keys in steps]
        for before, after in itertools.pairwise(apis):
            for issuer, reader in itertools.product((before, after), repeat=2):
                customer = register(issuer)
                me = reader.holding(customer.access_token).get("/v1/customers/me").json()
                assert me["national_id_last4"] == customer.registration["national_id"][-4:]
    stack.command("reseal", PII_KEYS=f"{old_key},{new_key}")  # Other tests read these customers without the new key.


def test_a_session_outlives_the_key_of_its_access_tokens(steps: list[Api], ann: Customer) -> None:
    tokens = log_in(steps[0], ann.registration["email"])

    renewed = steps[3].post("/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}).json()

    assert steps[3].holding(renewed["access_token"]).get("/v1/customers/me").json()["id"] == ann.id
