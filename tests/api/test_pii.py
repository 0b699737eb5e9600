import base64
import secrets

import pytest
from cryptography.exceptions import InvalidTag

from api.pii import Vault

INDEX_KEY = "keys the blind indexes of the tests"
TEXT = "1197480017283946"


def new_key(key_id: str, size: int = 32) -> str:
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(size)).decode()}"


OLD, NEW = new_key("old"), new_key("new")


def vault(*keys: str) -> Vault:
    return Vault(",".join(keys), INDEX_KEY)


@pytest.mark.parametrize("text", [TEXT, "", "ünïcødé", "x" * 10_000])
def test_what_is_sealed_opens(text: str) -> None:
    assert vault(OLD).open(vault(OLD).seal(text)) == text


def test_what_is_sealed_cannot_be_read_and_never_looks_the_same() -> None:
    one, other = vault(OLD).seal(TEXT), vault(OLD).seal(TEXT)

    assert one != other
    assert TEXT not in one
    assert TEXT.encode() not in base64.b64decode(one.partition(":")[2])


def test_after_a_rotation_the_new_key_seals_and_both_open() -> None:
    before, after = vault(OLD).seal(TEXT), vault(NEW, OLD).seal(TEXT)

    assert (before.partition(":")[0], after.partition(":")[0]) == ("old", "new")
    assert vault(NEW, OLD).open(before) == vault(NEW, OLD).open(after) == TEXT


def test_without_its_key_nothing_opens() -> None:
    with pytest.raises(KeyError):
        vault(NEW).open(vault(OLD).seal(TEXT))


@pytest.mark.parametrize("place", [0, 11, 12, 20, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    key_id, _, encoded = vault(OLD).seal(TEXT).partition(":")
    data = bytearray(base64.b64decode(encoded))
    data[place] ^= 1

    with pytest.raises(InvalidTag):
        vault(OLD).open(f"{key_id}:{base64.b64encode(data).decode()}")


def test_another_keys_name_on_a_seal_is_noticed() -> None:
    twin = OLD.replace("old", "twin")

    with pytest.raises(InvalidTag):
        vault(OLD, twin).open(vault(OLD).seal(TEXT).replace("old:", "twin:"))


@pytest.mark.parametrize(
    "keys",
    ["", "no colon", "short:c2hvcnQ=", "k1:%%%", new_key(""), new_key("k1", 16), new_key("k1", 31), f"{OLD},"],
)
def test_keys_that_are_none_are_refused_at_the_start(keys: str) -> None:
    with pytest.raises(ValueError, match="PII_KEYS"):
        Vault(keys, INDEX_KEY)


def test_equal_texts_of_one_purpose_share_an_index_and_others_do_not() -> None:
    one = vault(OLD).index("email", TEXT)

    assert one == vault(NEW).index("email", TEXT)
    assert one not in {
        vault(OLD).index("phone", TEXT),
        vault(OLD).index("email", TEXT + "0"),
        Vault(OLD, INDEX_KEY + "!").index("email", TEXT),
    }
