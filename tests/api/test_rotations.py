"""Replacing a key while processes with the old and the new settings run side by side."""

import base64
import contextlib
import itertools
from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.api.clients import Api, Customer, log_in, problem, register
from tests.api.processes import serving

NEW_KEY = "the next key is long enough for HS256 too"
NEW_PII_KEY = f"new:{base64.b64encode(b'n' * 32).decode()}"


@pytest.fixture(scope="module")
def steps(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Api]]:
    """API processes with the settings before, after each step, and at the end of replacing TOKEN_KEY and PII_KEYS.

    Of the latter the last step is missing: other tests have customers that nobody reseals.
    """
    old_key, old_pii_key = stack.env["TOKEN_KEY"], stack.env["PII_KEYS"]
    settings = [
        {"TOKEN_KEY": old_key, "PII_KEYS": old_pii_key},
        {"TOKEN_KEY": old_key, "TOKEN_KEYS_ACCEPTED": NEW_KEY, "PII_KEYS": f"{old_pii_key},{NEW_PII_KEY}"},
        {"TOKEN_KEY": NEW_KEY, "TOKEN_KEYS_ACCEPTED": old_key, "PII_KEYS": f"{NEW_PII_KEY},{old_pii_key}"},
        {"TOKEN_KEY": NEW_KEY, "PII_KEYS": f"{NEW_PII_KEY},{old_pii_key}"},
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


def test_no_step_of_replacing_a_sealing_key_hides_anything(stack: Stack, steps: list[Api]) -> None:
    for before, after in itertools.pairwise(steps[:3]):
        for issuer, reader in itertools.product((before, after), repeat=2):
            customer = register(issuer)
            me = reader.holding(customer.access_token).get("/v1/customers/me").json()
            assert me["national_id_last4"] == customer.registration["national_id"][-4:]
    old_key = stack.env["PII_KEYS"]  # Other tests read these customers without the new key.
    stack.command("reseal", PII_KEYS=f"{old_key},{NEW_PII_KEY}")


def test_a_session_outlives_the_key_of_its_access_tokens(steps: list[Api], ann: Customer) -> None:
    tokens = log_in(steps[0], ann.registration["email"])

    renewed = steps[3].post("/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}).json()

    assert steps[3].holding(renewed["access_token"]).get("/v1/customers/me").json()["id"] == ann.id
