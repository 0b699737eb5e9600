"""Secrets at rest: unreadable, tamper-evident, and readable again through a rotation of keys."""

import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidTag

from sealing import NONCE_BYTES, Sealer

TEXT = "1197480017283946"


def new_key(key_id: str, size: int = 32) -> str:
    return f"{key_id}:{base64.b64encode(hashlib.shake_256(key_id.encode()).digest(size)).decode()}"


OLD, NEW = new_key("old"), new_key("new")


def sealer(*keys: str) -> Sealer:
    return Sealer(",".join(keys), "SOME_KEYS")


@pytest.mark.parametrize("text", [TEXT, "", "ünïcødé", "x" * 10_000])
def test_what_is_sealed_opens(text: str) -> None:
    assert sealer(OLD).open(sealer(OLD).seal(text)) == text


def test_what_is_sealed_cannot_be_read_and_never_looks_the_same() -> None:
    one, other = sealer(OLD).seal(TEXT), sealer(OLD).seal(TEXT)
    assert one != other
    assert TEXT not in one
    assert TEXT.encode() not in base64.b64decode(one.partition(":")[2])


def test_a_nonce_is_used_once() -> None:
    sealed = [sealer(OLD).seal(TEXT) for _ in range(100)]
    assert len({base64.b64decode(one.partition(":")[2])[:NONCE_BYTES] for one in sealed}) == len(sealed)


def test_after_a_rotation_the_new_key_seals_and_both_open() -> None:
    before, after = sealer(OLD).seal(TEXT), sealer(NEW, OLD).seal(TEXT)
    assert (before.partition(":")[0], after.partition(":")[0]) == ("old", "new")
    assert sealer(NEW, OLD).open(before) == sealer(NEW, OLD).open(after) == TEXT


def test_blanks_around_keys_are_no_part_of_them() -> None:
    assert sealer(f" {NEW} ", f" {OLD}\n").open(sealer(OLD).seal(TEXT)) == TEXT


@pytest.mark.parametrize("sealed", ["by another key", "", "no colon", ":AAAA", "old:"])
def test_without_its_key_nothing_opens(sealed: str) -> None:
    sealed = sealed.replace("by another key", sealer(OLD).seal(TEXT))
    with pytest.raises(KeyError):
        sealer(NEW).open(sealed)


@pytest.mark.parametrize("place", [0, 11, 12, 20, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    key_id, _, encoded = sealer(OLD).seal(TEXT).partition(":")
    data = bytearray(base64.b64decode(encoded))
    data[place] ^= 1
    with pytest.raises(InvalidTag):
        sealer(OLD).open(f"{key_id}:{base64.b64encode(data).decode()}")


def test_another_keys_name_on_a_seal_is_noticed() -> None:
    twin = OLD.replace("old", "twin")
    with pytest.raises(InvalidTag):
        sealer(OLD, twin).open(sealer(OLD).seal(TEXT).replace("old:", "twin:"))


@pytest.mark.parametrize(
    "keys",
    ["", "no colon", "short:c2hvcnQ=", "k1:%%%", new_key(""), new_key("k1", 16), new_key("k1", 31), f"{OLD},"],
)
def test_keys_that_are_none_are_refused_by_the_settings_name_without_a_word_of_them(keys: str) -> None:
    with pytest.raises(ValueError, match="SOME_KEYS") as caught:
        Sealer(keys, "SOME_KEYS")
    assert str(caught.value) == "SOME_KEYS: not `id:base64 of 32 bytes`, comma-separated"
