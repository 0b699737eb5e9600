"""Access tokens (RFC 9068 in spirit, HS256): one key signs them, and any key of a short list makes them good.

A token says by `kid` which key signed it (RFC 7515, section 4.1.4), so that keys can be replaced without logging
anybody out: the next key is accepted by every process before the first one signs with it.
"""

import hashlib
import re
from typing import Annotated, Any
from uuid import UUID

import jwt
import msgspec
from jwt.utils import base64url_decode

from settings import Settings

ISSUER = "tekana"
ALGORITHM = "HS256"
CLAIMS = ["iss", "aud", "sub", "sid", "jti", "iat", "exp"]
# Base64url without padding (RFC 7515, section 2), of 32 bytes at the end: the last letter holds four bits of six, and
# of its four spellings one is ours. PyJWT takes them all, and padding, so that one token would have many names.
TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
Seconds = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]  # Since 1970 (RFC 7519, section 2), exact as a float, too.
KEY_ID_BYTES = 8  # Tells a handful of keys apart. Who has a token can test guesses at its key with or without it.


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token of ours says, in these types and no other: PyJWT would take "99999999999" for a time."""

    iss: str
    aud: str
    sub: UUID  # The customer.
    sid: UUID
    jti: UUID
    iat: Seconds
    exp: Seconds
    nbf: Seconds = 0  # Not ours; if it is there, it counts.


class TokenKeys:
    def __init__(self, settings: Settings) -> None:
        self._signing = settings.token_key
        keys = (settings.token_key, *settings.accepted_token_keys)
        self._by_id = {key_id(key): key for key in keys}
        # All our tokens of a key begin alike: no need to parse that twice, once here and once in `jwt.decode`.
        self._by_header = {_header(_signed({}, key)): key for key in keys}

    def sign(self, claims: dict[str, Any]) -> str:
        return _signed({"iss": ISSUER, "aud": ISSUER} | claims, self._signing)

    def verify(self, token: str) -> Claims:
        """Return the claims of a token that is good now.

        Raises:
            jwt.InvalidTokenError: it is not, or its key is not accepted.

        """
        if not TOKEN.fullmatch(token):
            raise jwt.DecodeError("not in the one way to write it")
        try:
            key = self._by_header.get(_header(token)) or self._named(token)
            jwt.decode(token, key, algorithms=[ALGORITHM], issuer=ISSUER, audience=ISSUER, options={"require": CLAIMS})
            return msgspec.json.decode(base64url_decode(token.split(".")[1]), type=Claims)
        # What a stranger writes may be nested deeper than a parser goes, or hold numbers that no clock shows.
        except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
            raise jwt.DecodeError("not of our making") from error

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
