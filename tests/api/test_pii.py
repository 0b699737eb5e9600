"""Personal data at rest (see `tests/test_sealing.py` for the seals)."""

import base64
import hashlib

import pytest

from api.pii import Vault

INDEX_KEY = "keys the blind indexes of the tests"
TEXT = "1197480017283946"


def new_key(key_id: str) -> str:
    return f"{key_id}:{base64.b64encode(hashlib.shake_256(key_id.encode()).digest(32)).decode()}"


OLD, NEW = new_key("old"), new_key("new")


def vault(*keys: str) -> Vault:
    return Vault(",".join(keys), INDEX_KEY)


def test_a_vault_seals_and_opens_with_its_own_keys() -> None:
    assert vault(NEW, OLD).open(vault(OLD).seal(TEXT)) == TEXT


def test_keys_that_are_none_are_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="PII_KEYS"):
        Vault("no colon", INDEX_KEY)


def test_equal_texts_of_one_purpose_share_an_index_and_others_do_not() -> None:
    one = vault(OLD).index("email", TEXT)

    assert one == vault(NEW).index("email", TEXT)
    assert one not in {
        vault(OLD).index("phone", TEXT),
        vault(OLD).index("email", TEXT + "0"),
        Vault(OLD, INDEX_KEY + "!").index("email", TEXT),
    }


def test_an_index_does_not_show_its_text() -> None:
    assert TEXT not in vault(OLD).index("email", TEXT)
