"""Tokens that nobody gave out are nobody's."""

import base64
import hmac
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import jwt
import msgspec
import pytest

from api.tokens import key_id
from domain.access import digest
from local.stack import Stack
from tests.api.clients import Api, Customer, problem
from tests.api.conftest import NewKey, Sql

FORGET_SECONDS_MAX = 1.5  # A process remembers a caller for one second.
OTHER_KEY = "another key, which is long enough for HS256"

Claims = dict[str, Any]
Forge = Callable[[str, Claims, str], str]


def without(name: str) -> Forge:
    return lambda key, claims, _: jwt.encode({k: v for k, v in claims.items() if k != name}, key)


def having(**changes: Any) -> Forge:
    return lambda key, claims, _: jwt.encode(claims | changes, key)


def headed(key: str = "", **header: Any) -> Forge:
    return lambda real_key, claims, _: jwt.encode(claims, key or real_key, headers=header)


def by_hand(digestmod: str, **header: Any) -> Forge:
    """Sign with the real key, as a library that knows better would not."""

    def forge(key: str, claims: Claims, _: str) -> str:
        said = f"{encoded(header)}.{encoded(claims)}"
        return f"{said}.{in_base64(hmac.digest(key.encode(), said.encode(), digestmod))}"

    return forge


def unsigned(algorithm: str, signature: str = "") -> Forge:
    def forge(_: str, claims: Claims, __: str) -> str:
        header = encoded({"alg": algorithm, "typ": "JWT"})
        return f"{header}.{encoded(claims)}.{signature}"

    return forge


def resigned(change: Callable[[list[str]], list[str]]) -> Forge:
    """Change the three parts of the real token."""
    return lambda _key, _claims, token: ".".join(change(token.split(".")))


def encoded(value: object) -> str:
    return in_base64(msgspec.json.encode(value))


def in_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def flipped(text: str) -> str:
    return ("B" if text[0] == "A" else "A") + text[1:]


FORGERIES: dict[str, Forge] = {
    "expired": having(exp=int(time.time()) - 1),
    "expired long ago": having(exp=1),
    "with an expiry that is no time": having(exp="tomorrow"),
    "with an expiry beyond time": having(exp=10**30, iat=10**29),
    "issued in the future": having(iat=int(time.time()) + 3_600),
    "not valid before tomorrow": having(nbf=int(time.time()) + 86_400),
    "of another issuer": having(iss="somebody"),
    "for another audience": having(aud="somebody"),
    "of a subject that is no id": having(sub="admin"),
    "of no subject": having(sub=""),
    "of a subject that is a number": having(sub=1),
    "of an unknown session": having(sid=str(uuid4())),
    "of a session that is no id": having(sid="' OR 1=1 --"),
    "of a session that is a number": having(sid=1),
    "of a session that is null": having(sid=None),
    "without an issuer": without("iss"),
    "without an audience": without("aud"),
    "without a subject": without("sub"),
    "without a session": without("sid"),
    "without an id": without("jti"),
    "without a time": without("iat"),
    "without an expiry": without("exp"),
    "signed with another key": headed(OTHER_KEY),
    "signed with the key's first half": lambda key, claims, _: jwt.encode(claims, key[:32]),
    "signed with HS384": by_hand("sha384", alg="HS384"),
    "signed with HS512": by_hand("sha512", alg="HS512"),
    "with a key of its own": headed(OTHER_KEY, jwk={"kty": "oct", "k": encoded(OTHER_KEY)}),
    "with a key id that is a path": headed(OTHER_KEY, kid="../../../dev/null"),
    "with a key id that is SQL": headed(OTHER_KEY, kid="' UNION SELECT 'key' --"),
    "with a key id that is a number": by_hand("sha256", alg="HS256", kid=5),
    "signed with another key that names itself": headed(OTHER_KEY, kid=key_id(OTHER_KEY)),
    "signed with another key under the real one's name": lambda key, claims, _: jwt.encode(
        claims, OTHER_KEY, headers={"kid": key_id(key)}
    ),
    "with an empty key id": headed(kid=""),
    "with a key to be fetched": headed(OTHER_KEY, jku="https://example.com/keys"),
    "with an extension nobody knows": by_hand("sha256", alg="HS256", crit=["tomorrow"], tomorrow=True),
    "of algorithm none": unsigned("none"),
    "of algorithm NONE": unsigned("NONE"),
    "of algorithm nOnE with a signature": unsigned("nOnE", "c2lnbmF0dXJl"),
    "of no algorithm": unsigned(""),
    "of HS256 without a signature": unsigned("HS256"),
    "of RS256": unsigned("RS256", "c2lnbmF0dXJl"),
    "with another header": resigned(lambda parts: [encoded({"alg": "HS256", "kid": "1"}), *parts[1:]]),
    "with other claims": resigned(lambda parts: [parts[0], encoded({"sub": str(uuid4())}), parts[2]]),
    "with a flipped signature": resigned(lambda parts: [*parts[:2], flipped(parts[2])]),
    "with half a signature": resigned(lambda parts: [*parts[:2], parts[2][:20]]),
    "of two parts": resigned(lambda parts: parts[:2]),
    "of four parts": resigned(lambda parts: [*parts, parts[2]]),
    "of empty parts": resigned(lambda _: ["", "", ""]),
    "backwards": resigned(lambda parts: parts[::-1]),
    "with claims that are no object": lambda key, _claims, _token: jwt.api_jws.encode(b"[]", key),
    "with claims that are no JSON": lambda key, _claims, _token: jwt.api_jws.encode(b"claims", key),
    "that is no token": lambda *_: "token",
    "that is the signing key": lambda key, *_: key,
    "that is not ASCII": lambda *_: "tökén",
    "of 8,000 characters": lambda *_: "e" * 8_000,
    "that is an unknown key": lambda *_: "tk_" + "A" * 43,
    "that is the prefix of keys": lambda *_: "tk_",
    "that is SQL after the prefix of keys": lambda *_: "tk_'OR'1'='1",
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_token_is_refused(stack: Stack, anyone: Api, ann: Customer, forge: Forge) -> None:
    claims = jwt.decode(ann.access_token, options={"verify_signature": False})
    token = forge(stack.env["TOKEN_KEY"], claims, ann.access_token)

    response = anyone.get("/v1/customers/me", headers={"Authorization": b"Bearer " + token.encode()})

    problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


def test_the_token_they_were_made_of_is_good(ann: Customer) -> None:
    assert ann.api.get("/v1/customers/me").json()["id"] == ann.id


def test_a_token_says_which_key_signed_it(stack: Stack, ann: Customer) -> None:
    header = jwt.get_unverified_header(ann.access_token)

    assert header == {"alg": "HS256", "typ": "JWT", "kid": key_id(stack.env["TOKEN_KEY"])}


def test_a_token_of_a_release_without_key_ids_is_good(stack: Stack, anyone: Api, ann: Customer) -> None:
    claims = jwt.decode(ann.access_token, options={"verify_signature": False})
    token = jwt.encode(claims, stack.env["TOKEN_KEY"])

    assert anyone.holding(token).get("/v1/customers/me").json()["id"] == ann.id


def test_a_token_that_was_good_is_refused_once_it_expires(stack: Stack, anyone: Api, ann: Customer) -> None:
    claims = jwt.decode(ann.access_token, options={"verify_signature": False})
    token = jwt.encode(claims | {"exp": int(time.time()) + 2}, stack.env["TOKEN_KEY"])
    caller = anyone.holding(token)
    assert caller.get("/v1/customers/me").status_code == 200

    refused_within(2 + FORGET_SECONDS_MAX, caller)


def test_a_refresh_token_is_no_access_token(anyone: Api, ann: Customer) -> None:
    problem(anyone.holding(ann.refresh_token).get("/v1/customers/me"), 401, "unauthenticated")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "{token}", "Basic {token}", "Token {token}", "Bearer{token}", "Bearer {token} {token}"],
)
def test_another_scheme_than_bearer_is_refused(anyone: Api, ann: Customer, header: str) -> None:
    response = anyone.get("/v1/wallets", headers={"Authorization": header.format(token=ann.access_token)})

    problem(response, 401, "unauthenticated")


@pytest.mark.parametrize("header", ["Bearer {token}", "bearer {token}", "BEARER   {token}"])
def test_the_scheme_may_be_written_in_any_case(anyone: Api, ann: Customer, header: str) -> None:
    response = anyone.get("/v1/wallets", headers={"Authorization": header.format(token=ann.access_token)})

    assert response.status_code == 200


def test_bad_credentials_do_not_matter_where_nobody_asks_for_any(anyone: Api) -> None:
    assert anyone.holding("tk_unknown").get("/health/live").status_code == 200


def test_bad_credentials_are_refused_where_it_matters_who_calls(anyone: Api) -> None:
    problem(anyone.holding("tk_unknown").get(f"/v1/jobs/{UUID(int=0)}"), 401, "unauthenticated")


def test_a_revoked_key_stops_working_within_a_second_or_so(stack: Stack, anyone: Api) -> None:
    made = msgspec.json.decode(stack.command("keys", "create", "--scope", "wallets:read", "--name", "short", "--json"))
    key = anyone.holding(made["key"])
    assert key.get("/v1/wallets").status_code == 200

    stack.command("keys", "revoke", made["id"])

    refused_within(FORGET_SECONDS_MAX, key)


def test_a_key_stops_working_when_it_expires(new_key: NewKey, sql: Sql) -> None:
    key = new_key("wallets:read")
    assert key.get("/v1/wallets").status_code == 200

    sql("UPDATE api_keys SET expires_at = now() WHERE digest = :digest", digest=digest(key.token))

    refused_within(FORGET_SECONDS_MAX, key)


def refused_within(seconds: float, caller: Api) -> None:
    """Ask until it is refused: nothing that was sent later than that is let in, however long an answer takes."""
    started = sent = time.monotonic()
    while caller.get("/v1/wallets").status_code != 401:
        assert sent < started + seconds, "still let in"
        time.sleep(0.05)
        sent = time.monotonic()
