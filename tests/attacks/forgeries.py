"""Access tokens that nobody gave out, made of a real one: each is a name, and a function of what a forger may have."""

import base64
import hashlib
import hmac
import json
import string
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias
from uuid import uuid4

import msgspec

Claims: TypeAlias = dict[str, Any]
KID = hashlib.blake2b(b"guessed", digest_size=8).hexdigest()
STRANGER = b"a key that is long enough for HS256, and a stranger's"
DAY = 86_400
HOUR = 3_600  # Long after all tests, which are made when they are collected.
LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"  # RFC 4648, section 5.


class Real(msgspec.Struct, frozen=True, kw_only=True):
    """A token that is good, and the key that signed it: with a real signature only the one thing is wrong."""

    token: str
    key: bytes
    header: dict[str, Any]
    claims: Claims

    @property
    def parts(self) -> list[str]:
        return self.token.split(".")


Forge: TypeAlias = Callable[[Real], bytes]


def every() -> Iterator[tuple[str, Forge]]:
    """Yield all of them, by name."""
    for table in (_algorithms, _headers, _claims_of_wrong_values, _texts_of_claims, _encodings, _signatures, _others):
        yield from table()


def signed(key: bytes, header: Any, claims: Any, digestmod: str = "sha256") -> bytes:
    """Sign what no library would. Texts and bytes go as they are, everything else as JSON."""
    said = f"{in_base64(header)}.{in_base64(claims)}".encode()
    return said + b"." + in_base64(hmac.digest(key, said, digestmod)).encode()


def in_base64(value: Any) -> str:
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def with_header(key: bytes | None = None, digestmod: str = "sha256", **header: Any) -> Forge:
    """Change the header, and sign with the real key or another one."""
    return lambda real: signed(real.key if key is None else key, real.header | header, real.claims, digestmod)


def _headed(text: str, real: Real) -> bytes:
    return signed(real.key, text, real.claims)


def _claiming(change: Claims, real: Real) -> bytes:
    return signed(real.key, real.header, real.claims | change)


def _without(claim: str, real: Real) -> bytes:
    return signed(real.key, real.header, {name: value for name, value in real.claims.items() if name != claim})


def _ending(end: str, real: Real) -> bytes:
    return signed(real.key, real.header, json.dumps(real.claims)[:-1] + ", " + end + "}")


def _saying(text: str | bytes, real: Real) -> bytes:
    return signed(real.key, real.header, text)


def _algorithms() -> Iterator[tuple[str, Forge]]:
    nones = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "non\u0435",
        "none\0",
        "",
        " ",
        "null",
        "hs256",
        "Hs256",
        "HS256 ",
    ]
    foreign = [
        "HS384",
        "HS512",
        "HS1",
        "RS256",
        "RS512",
        "PS256",
        "ES256",
        "ES512",
        "EdDSA",
        "dir",
        "A256KW",
        "HS256/none",
    ]
    for algorithm in (*nones, *foreign):
        header: dict[str, Any] = {"alg": algorithm}
        yield f"alg {algorithm!r}, unsigned", partial(_unsigned, header)
        yield f"alg {algorithm!r}, signed", with_header(**header)
    for value in (None, True, 256, [], ["HS256"], ["none", "HS256"], {}, {"HS256": 1}):
        yield f"alg {value!r}", with_header(alg=value)
    yield "no alg", lambda real: signed(real.key, {"kid": real.header["kid"]}, real.claims)
    for digestmod in ("sha384", "sha512", "sha1", "md5"):
        yield f"HS256 that is {digestmod}", with_header(None, digestmod)
    for name, key in {
        "empty": b"",
        "zero": b"\0",
        "the kid": KID.encode(),
        "the issuer": b"tekana",
        "secret": b"secret",
    }.items():
        yield f"signed with a key that is {name}", with_header(key)
    body = b"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
    public = b"-----BEGIN PUBLIC KEY-----\n" + body + b"\n-----END PUBLIC KEY-----\n"
    yield "signed with a public key", with_header(public)
    yield "signed with the real key's hash", lambda real: with_header(hashlib.sha256(real.key).digest())(real)
    yield "signed with the real key and a line end", lambda real: with_header(real.key + b"\n")(real)


def _unsigned(header: dict[str, Any], real: Real) -> bytes:
    return f"{in_base64(real.header | header)}.{real.parts[1]}.".encode()


def _headers() -> Iterator[tuple[str, Forge]]:
    kids = [
        *(
            "../../../../dev/null",
            "/dev/null",
            "file:///dev/null",
            "..\\..\\nul",
            "/proc/self/environ",
            "C:\\Windows\\win.ini",
        ),
        *(
            "' OR '1'='1",
            "' UNION SELECT 'secret' --",
            "x'; DROP TABLE sessions; --",
            "1 OR 1=1",
            "$(id)",
            "`id`",
            "| id",
        ),
        *(
            "{{7*7}}",
            "${jndi:ldap://127.0.0.1/a}",
            "http://127.0.0.1/keys",
            "\r\nX-Injected: 1",
            "\0",
            "a" * 5_000,
            KID,
        ),
    ]
    for kid in kids:
        yield f"kid {kid[:30]!r}, stranger's key", with_header(STRANGER, kid=kid)
        yield f"kid {kid[:30]!r}, empty key", with_header(b"", kid=kid)
    for value in ("", 0, 1, -1, True, 1.5, [], ["x"], {}, {"a": 1}):
        yield f"kid {value!r}", with_header(kid=value)
    jwk = {"kty": "oct", "k": in_base64(STRANGER), "alg": "HS256", "kid": "mine"}
    keys: dict[str, Any] = {
        "jwk": jwk,
        "jku": "https://example.com/jwks.json",
        "x5u": "https://example.com/x5u",
        "x5c": ["MIIB"],
        "x5t": "a",
    }
    for name, value in keys.items():
        yield f"{name} of the forger's", with_header(STRANGER, **{name: value}, kid="mine")
        yield f"{name} of the forger's under the real kid", with_header(STRANGER, **{name: value})
    crits: list[Any] = [["exp"], ["b64"], ["x"], [], "x", None, 1, {}]
    for crit in crits:
        yield f"crit {crit!r}", with_header(crit=crit)
    yield "unencoded payload", with_header(b64=False, crit=["b64"])
    yield "compressed", with_header(STRANGER, zip="DEF")
    for text in ("[]", "null", '"HS256"', "1", "{}", "", "{", "\ufeff{}", "{'alg':'HS256'}", "[" * 10_000):
        yield f"header {text[:20]!r}", partial(_headed, text)


def _claims_of_wrong_values() -> Iterator[tuple[str, Forge]]:
    now = int(time.time())
    wrong: dict[str, list[Any]] = {
        "exp": [
            0,
            -1,
            1,
            now - 1,
            now - DAY,
            -(2**63),
            "",
            "never",
            "9" * 30,
            None,
            True,
            [],
            {},
            [now + DAY],
            10**400,
            -0.0,
        ],
        "nbf": [now + DAY, now + HOUR, 2**62, "tomorrow", [], {}, 10**400],
        "iat": [now + DAY, now + HOUR, 2**62, "now", None, [], {}, 10**400],
        "iss": [
            "",
            "Tekana",
            "tekana ",
            " tekana",
            "tekana\0",
            "https://tekana",
            None,
            1,
            True,
            ["tekana", "x"],
            {},
            "tek\u0430na",
        ],
        "aud": ["", "Tekana", "tekana ", None, 1, True, [], ["x"], {}, [["tekana"]], [None], "x"],
        "sub": ["", "admin", "*", "0", "../", None, 1, True, [], {}, "customer:1", "key:1", "' OR '1'='1", "\0"],
        "sid": [
            "",
            "0",
            None,
            1,
            True,
            [],
            {},
            "' OR '1'='1",
            "\0",
            "*",
            str(uuid4()),
            "00000000-0000-0000-0000-000000000000",
        ],
        "jti": [None, 1, [], {}, True],
    }
    for claim, values in wrong.items():
        for value in values:
            yield (f"{claim} {str(value)[:30]!r}", partial(_claiming, {claim: value}))
        if claim != "nbf":
            yield (f"no {claim}", partial(_without, claim))


def _texts_of_claims() -> Iterator[tuple[str, Forge]]:
    """JSON that two parsers read in two ways, or none does; the last of duplicates is expired, or somebody unknown."""
    for name, end in {
        "exp twice": '"exp": 1',
        "sid twice": f'"sid": "{uuid4()}"',
        "iss twice": '"iss": "x"',
        "exp escaped": '"\\u0065xp": 1',
        "exp NaN": '"exp": NaN',
        "exp Infinity": '"exp": Infinity',
        "exp -Infinity": '"exp": -Infinity',
        "exp overflowing": '"exp": 1e999',
        "a comment": '/* */ "x": 1',
        "a trailing comma": '"x": 1,',
        "a lone surrogate": '"sid": "\\ud800"',
        "10,000 levels": '"x": ' + "[" * 10_000 + "]" * 10_000,
    }.items():
        yield (f"claims with {name}", partial(_ending, end))
    for text in ("[]", "null", "1", '"sub"', "{}", "", "{", "{}{}", "\ufeff{}", "\0", "[" * 20_000):
        yield f"claims {text[:10]!r}", partial(_saying, text)
    yield "claims in UTF-16", lambda real: signed(real.key, real.header, json.dumps(real.claims).encode("utf-16"))
    yield "claims that are no UTF-8", partial(_saying, b'{"sub": "\xff"}')
    yield (
        "claims of 60 kB that expired",
        lambda real: signed(real.key, real.header, real.claims | {"exp": 1, "x": "a" * 5_000}),
    )


def _encodings() -> Iterator[tuple[str, Forge]]:
    def joined(change: Callable[[list[str]], list[str]]) -> Forge:
        return lambda real: ".".join(change(real.parts)).encode("latin-1")

    for place, name in enumerate(("header", "claims", "signature")):
        for told, change in {
            "empty": lambda _: "",
            "halved": lambda part: part[: len(part) // 2],
            "one short": lambda part: part[:-1],
            "two short": lambda part: part[:-2],
            "doubled": lambda part: part * 2,
            "backwards": lambda part: part[::-1],
            "in another case": str.swapcase,
            "encoded again": in_base64,
            "in hex": lambda part: part.encode().hex(),
            "with a flipped first character": lambda part: ("A" if part[0] != "A" else "B") + part[1:],
            "with a dot": lambda part: part[:5] + "." + part[5:],
            "with a NUL escaped": lambda part: part + "%00",
            "with a quote": lambda part: f'"{part}"',
            "with a letter that is none": lambda part: part[:-1] + "\xe9",
        }.items():
            yield (f"{name} {told}", partial(_changed, place, change))
    yield "a fourth part", joined(lambda parts: [*parts, parts[2]])
    yield "a fifth part", joined(lambda parts: [*parts, "", ""])
    yield "parts changed round", joined(lambda parts: [parts[1], parts[0], parts[2]])
    yield "parts joined by commas", lambda real: real.token.replace(".", ",").encode()
    yield "the header alone", joined(lambda parts: parts[:1])
    yield "dots", lambda _: b".."


def _changed(place: int, change: Callable[[str], str], real: Real) -> bytes:
    parts = real.parts
    return ".".join([*parts[:place], change(parts[place]), *parts[place + 1 :]]).encode("latin-1")


def _signatures() -> Iterator[tuple[str, Forge]]:
    yield (
        "signature of another token",
        lambda real: ".".join([*real.parts[:2], _last(signed(real.key, real.header, {"sub": str(uuid4())}))]).encode(),
    )
    for last in range(1, 4):
        yield f"signature spelled otherwise, {last}", partial(_respelled, last)
    yield "signature padded", lambda real: real.token.encode() + b"="
    yield "signature of the header alone", lambda real: _resigned(real, real.parts[0])
    yield "signature of the claims alone", lambda real: _resigned(real, real.parts[1])
    yield "signature of the parts without a dot", lambda real: _resigned(real, real.parts[0] + real.parts[1])
    for name, signature in {
        "zeros": b"\0" * 32,
        "ones": b"\xff" * 32,
        "one byte": b"\0",
        "64 bytes": b"\0" * 64,
    }.items():
        yield (f"signature of {name}", partial(_under, in_base64(signature)))
    for place in range(0, 42, 6):
        yield (f"signature flipped at {place}", partial(_flipped, place))
    for claim in ("sub", "sid", "exp"):
        yield (f"another {claim} under the real signature", partial(_grafted, claim))


def _respelled(more: int, real: Real) -> bytes:
    """Change the bits of the last letter that mean nothing: it holds the last four of 256."""
    return (real.token[:-1] + LETTERS[LETTERS.index(real.token[-1]) + more]).encode()


def _last(token: bytes) -> str:
    return token.decode().rpartition(".")[2]


def _resigned(real: Real, said: str) -> bytes:
    return ".".join([*real.parts[:2], in_base64(hmac.digest(real.key, said.encode(), "sha256"))]).encode()


def _flipped(place: int, real: Real) -> bytes:
    text = real.parts[2]
    return _under(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :], real)


def _under(signature: str, real: Real) -> bytes:
    return ".".join([*real.parts[:2], signature]).encode()


def _grafted(claim: str, real: Real) -> bytes:
    return ".".join([real.parts[0], in_base64(real.claims | {claim: str(uuid4())}), real.parts[2]]).encode()


def _others() -> Iterator[tuple[str, Forge]]:
    yield "a token within a token", lambda real: signed(real.key, real.header | {"cty": "JWT"}, real.token)
    yield "a token within JSON", lambda real: signed(real.key, real.header, {"token": real.token})
    yield (
        "a JWE",
        lambda _: b".".join([in_base64({"alg": "dir", "enc": "A256GCM"}).encode(), b"", b"aXY", b"Y3Q", b"dGFn"]),
    )
    yield (
        "a JWS in JSON",
        lambda real: json.dumps(
            {"payload": real.parts[1], "protected": real.parts[0], "signature": real.parts[2]}
        ).encode(),
    )
    yield "the key itself", lambda real: real.key
    yield "text", lambda _: b"token"
    yield "letters that are none", lambda _: "t\u00f6k\u00e9n".encode()
    yield "8,000 characters", lambda _: b"e" * 8_000
    yield "8,000 dots", lambda _: b"." * 8_000
