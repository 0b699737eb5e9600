"""Forged and replayed tokens: each of them is nobody's, and none of them an error of ours."""

import base64
import re
import secrets
from collections.abc import Callable

import httpx2
import jwt
import msgspec
import pytest

from domain.access import KEY_PREFIX
from local.stack import Stack
from tests.api.clients import Api, Customer, log_in, problem, register
from tests.api.conftest import NewKey, Sql
from tests.attacks import forgeries
from tests.attacks.forgeries import Forge, Real

FORGERIES_MIN = 200  # Fewer would be a table that somebody has emptied.
FORGERIES = list(forgeries.every())
ME = "/v1/customers/me"


@pytest.fixture(scope="module")
def real(stack: Stack, ann: Customer) -> Real:
    claims = jwt.decode(ann.access_token, options={"verify_signature": False})
    header = jwt.get_unverified_header(ann.access_token)
    return Real(token=ann.access_token, key=stack.env["TOKEN_KEY"].encode(), header=header, claims=claims)


def test_there_are_enough_of_them_and_each_has_its_name() -> None:
    assert len({name for name, _ in FORGERIES}) == len(FORGERIES) >= FORGERIES_MIN


def test_what_is_signed_by_hand_as_the_api_does_is_good(anyone: Api, real: Real) -> None:
    token = forgeries.signed(real.key, real.header, real.claims)
    assert sent(anyone, b"Bearer " + token).status_code == 200


def told(place: int) -> str:
    """Return what a test is called in every process: names hold times and ids, which each makes its own of."""
    return f"{place} {CHANGING.sub('..', FORGERIES[place][0])[:60]}"


CHANGING = re.compile(r"[0-9a-f]{4,}(-[0-9a-f]+)*")


@pytest.mark.parametrize("forge", [forge for _, forge in FORGERIES], ids=map(told, range(len(FORGERIES))))
def test_a_forged_token_is_nobodys(anyone: Api, real: Real, forge: Forge) -> None:
    refused(sent(anyone, b"Bearer " + forge(real)))


@pytest.mark.parametrize(
    "header",
    [
        *(b"", b"Bearer", b"{token}", b"Bearer{token}", b"Bearer:{token}", b"Bearer={token}"),
        *(b"Bearer, {token}", b"Bearer {token},", b"Bearer {token} {token}", b"Bearer {token}, Bearer {token}"),
        *(
            b"Bearer Bearer {token}",
            b"Basic {token}",
            b"Token {token}",
            b"JWT {token}",
            b"Digest {token}",
            b"DPoP {token}",
        ),
        *(
            b"Bearer\xa0{token}",
            b"B\xe9arer {token}",
            b'Bearer "{token}"',
            b"Bearer <{token}>",
            b"Bearer token={token}",
        ),
        *(b"Bearer {token};", b"Bearer {token}\xff", b"Bearer {token}%20", b"Bearer {token}=", b"Bearer {token}==="),
        *(b"Bearer {token}.", b"Bearer .{token}", b"null", b"Bearer null", b"Bearer undefined"),
    ],
)
def test_a_header_that_is_none_lets_nobody_in(anyone: Api, real: Real, header: bytes) -> None:
    refused(sent(anyone, header.replace(b"{token}", real.token.encode())))


def test_basic_credentials_are_no_token(anyone: Api, ann: Customer) -> None:
    pair = f"{ann.registration['email']}:{ann.registration['password']}"
    refused(sent(anyone, b"Basic " + base64.b64encode(pair.encode())))


@pytest.mark.parametrize("first_is_good", [True, False])
def test_two_headers_are_no_credentials(anyone: Api, real: Real, first_is_good: object) -> None:
    good, bad = f"Bearer {real.token}", f"Bearer {KEY_PREFIX}unknown"
    headers = [("Authorization", one) for one in ((good, bad) if first_is_good else (bad, good))]
    refused(anyone.http.get(ME, headers=headers))


@pytest.mark.parametrize("place", ["query", "cookie", "body", "proxy"])
def test_a_token_in_another_place_lets_nobody_in(anyone: Api, real: Real, place: str) -> None:
    answers = {
        "query": lambda: anyone.get(ME, access_token=real.token),
        "cookie": lambda: anyone.get(
            ME, headers={"Cookie": f"access_token={real.token}; Authorization=Bearer {real.token}"}
        ),
        "body": lambda: anyone.send("GET", ME, content=f"access_token={real.token}"),
        "proxy": lambda: anyone.get(ME, headers={"Proxy-Authorization": f"Bearer {real.token}"}),
    }
    refused(answers[place]())


KEYS: dict[str, Callable[[str], str]] = {
    "with another last character": lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
    "with another first character": lambda key: key[:3] + ("A" if key[3] != "A" else "B") + key[4:],
    "in another case": lambda key: KEY_PREFIX + key[3:].swapcase(),
    "with a prefix in another case": lambda key: "TK_" + key[3:],
    "with another prefix": lambda key: "sk_" + key[3:],
    "with the prefix twice": lambda key: KEY_PREFIX + key,
    "without the prefix": lambda key: key[3:],
    "one short": lambda key: key[:-1],
    "one longer": lambda key: key + "A",
    "twice": lambda key: key * 2,
    "with a quote": lambda key: key + "'",
    "with a comment": lambda key: key + "' --",
    "with a wildcard": lambda _: KEY_PREFIX + "%",
    "with padding": lambda key: key + "=",
    "escaped": lambda key: key.replace("_", "%5F"),
    "with a look-alike": lambda key: "t\u043a_" + key[3:],
    "empty": lambda _: KEY_PREFIX,
    "at random": lambda _: KEY_PREFIX + secrets.token_urlsafe(32),
    "of 8,000 characters": lambda key: key + "A" * 8_000,
    "as hex": lambda key: KEY_PREFIX + key[3:].encode().hex(),
}


@pytest.mark.parametrize("change", KEYS.values(), ids=KEYS.keys())
def test_a_key_that_was_changed_is_nobodys(new_key: NewKey, change: Callable[[str], str]) -> None:
    key = new_key("wallets:read")
    assert key.get("/v1/wallets").status_code == 200
    refused(sent(key, b"Bearer " + change(key.token).encode(), "/v1/wallets"))


ENDED = {
    "revoked_at": "UPDATE api_keys SET revoked_at = now() WHERE digest = sha256(convert_to(:token, 'UTF8'))",
    "expires_at": "UPDATE api_keys SET expires_at = now() WHERE digest = sha256(convert_to(:token, 'UTF8'))",
}


@pytest.mark.parametrize("column", ENDED)
def test_a_key_that_has_ended_is_nobodys(new_key: NewKey, sql: Sql, column: str) -> None:
    key = new_key("wallets:read")
    sql(ENDED[column], token=key.token)
    refused(key.get("/v1/wallets"))


def test_what_is_stored_of_a_key_is_no_key(new_key: NewKey, sql: Sql) -> None:
    key = new_key("wallets:read")
    [row] = sql(
        "SELECT encode(digest, 'hex') AS hex FROM api_keys WHERE digest = sha256(convert_to(:t, 'UTF8'))", t=key.token
    )
    for stored in (row["hex"], KEY_PREFIX + row["hex"], base64.urlsafe_b64encode(bytes.fromhex(row["hex"])).decode()):
        refused(key.holding(stored).get("/v1/wallets"))


def test_tokens_of_one_use_are_good_for_no_other(anyone: Api, ann: Customer, new_key: NewKey) -> None:
    key = new_key("*").token
    refused(anyone.holding(ann.refresh_token).get(ME))
    for path in ("/v1/auth/refresh", "/v1/auth/logout"):
        for token in (ann.access_token[:200], key, ann.refresh_token.swapcase(), ann.refresh_token[:-1], ""):
            problem(anyone.post(path, {"refresh_token": token}), 401, "invalid_refresh_token")
    problem(anyone.post("/v1/auth/refresh", {"refresh_token": ann.access_token}), 400, "invalid_request")
    assert ann.api.get(ME).status_code == 200


def test_a_refresh_token_that_comes_twice_ends_all_that_came_of_it(anyone: Api) -> None:
    thief = register(anyone)
    first = thief.refresh_token
    renewed = anyone.post("/v1/auth/refresh", {"refresh_token": first}).json()
    problem(anyone.post("/v1/auth/refresh", {"refresh_token": first}), 401, "invalid_refresh_token")
    problem(anyone.post("/v1/auth/refresh", {"refresh_token": renewed["refresh_token"]}), 401, "invalid_refresh_token")
    for token in (thief.access_token, renewed["access_token"]):
        refused(anyone.holding(token).get(ME))


def test_after_logging_out_nothing_of_the_session_is_good(anyone: Api) -> None:
    gone = register(anyone)
    other = log_in(anyone, gone.registration["email"])
    assert anyone.post("/v1/auth/logout", {"refresh_token": gone.refresh_token}).status_code == 204
    refused(gone.api.get(ME))
    problem(anyone.post("/v1/auth/refresh", {"refresh_token": gone.refresh_token}), 401, "invalid_refresh_token")
    assert anyone.holding(other["access_token"]).get(ME).status_code == 200


def test_a_token_cannot_be_turned_into_another_customers(anyone: Api, real: Real, bob: Customer) -> None:
    """With the key, even: the session decides, and it is one customer's."""
    refused(sent(anyone, b"Bearer " + forgeries.signed(real.key, real.header, real.claims | {"sub": bob.id})))


def test_nothing_has_shaken_the_owner(ann: Customer) -> None:
    assert ann.api.get(ME).json()["id"] == ann.id


def sent(caller: Api, authorization: bytes, path: str = ME) -> httpx2.Response:
    return caller.http.get(path, headers=[(b"Authorization", authorization)])


def refused(answer: httpx2.Response) -> None:
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert msgspec.json.decode(answer.content)["detail"]
