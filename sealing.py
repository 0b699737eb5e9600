"""Secrets at rest: sealed with AES-256-GCM.

A sealed text is `<key id>:<base64 of nonce and ciphertext>`, so that keys can rotate: the first key
seals, any key opens.
"""

import base64
import binascii
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32  # AES-256.
NONCE_BYTES = 12  # NIST SP 800-38D, section 8.2: 96 random bits.


class Sealer:
    def __init__(self, keys: str, setting: str) -> None:
        """Read `id:base64,...`, the value of `setting`.

        Raises:
            ValueError: a key is not 32 bytes, or has no id.

        """
        named = [_key(item, setting) for item in keys.split(",")]
        self._keys = {key_id: AESGCM(key) for key_id, key in named}
        self._first = named[0][0]

    @property
    def prefix(self) -> str:
        """How everything begins that is sealed now."""
        return f"{self._first}:"

    def seal(self, text: str) -> str:
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = self._keys[self._first].encrypt(nonce, text.encode(), self._first.encode())
        return f"{self._first}:{base64.b64encode(nonce + ciphertext).decode()}"

    def open(self, sealed: str) -> str:
        """Return the text.

        Raises:
            KeyError: the key that sealed it is not configured.
            cryptography.exceptions.InvalidTag: it was tampered with.

        """
        key_id, _, encoded = sealed.partition(":")
        data = base64.b64decode(encoded)
        return self._keys[key_id].decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], key_id.encode()).decode()


def _key(item: str, setting: str) -> tuple[str, bytes]:
    key_id, _, encoded = item.strip().partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if not key_id or len(key) != KEY_BYTES:
        raise ValueError(f"{setting}: not `id:base64 of 32 bytes`, comma-separated")  # And not a word of the key.
    return key_id, key
