"""Access tokens (RFC 9068 in spirit, HS256): one key signs them, and any key of a short list makes them good.

A token says by `kid` which key signed it (RFC 7515, section 4.1.4), so that keys can be replaced without logging
anybody out: the next key is accepted by every process before the first one signs with it.
"""

import hashlib
from typing import Any

import jwt

from settings import Settings

ISSUER = "tekana"
ALGORITHM = "HS256"
CLAIMS = ["iss", "aud", "sub", "sid", "jti", "iat", "exp"]
KEY_ID_BYTES = 8  # Tells a handful of keys apart. Who has a token can test guesses at its key with or without it.


class TokenKeys:
    def __init__(self, settings: Settings) -> None:
        self._signing = settings.token_key
        keys = (settings.token_key, *settings.accepted_token_keys)
        self._by_id = {key_id(key): key for key in keys}
        # All our tokens of a key begin alike: no need to parse that twice, once here and once in `jwt.decode`.
        self._by_header = {_header(_signed({}, key)): key for key in keys}

    def sign(self, claims: dict[str, Any]) -> str:
        return _signed({"iss": ISSUER, "aud": ISSUER} | claims, self._signing)

    def verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that is good now.

        Raises:
            jwt.InvalidTokenError: it is not, or its key is not accepted.

        """
        key = self._by_header.get(_header(token)) or self._named(token)
        return jwt.decode(
            token, key, algorithms=[ALGORITHM], issuer=ISSUER, audience=ISSUER, options={"require": CLAIMS}
        )

    def _named(self, token: str) -> str:
        named = jwt.get_unverified_header(token).get("kid")
        if named is None:  # Of a release without key ids, which had one key.
            return self._signing
        if named not in self._by_id:
            raise jwt.InvalidTokenError(f"no key {named} is accepted")
        return self._by_id[named]


def key_id(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=KEY_ID_BYTES, person=b"tekana-kid").hexdigest()


def _signed(claims: dict[str, Any], key: str) -> str:
    return jwt.encode(claims, key, ALGORITHM, {"kid": key_id(key)})


def _header(token: str) -> str:
    return token.partition(".")[0]
