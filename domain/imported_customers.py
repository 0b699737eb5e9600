"""Customers of a previous platform: what a row must say, and which ones are refused beside the others."""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import msgspec
import phonenumbers

from domain.customers import normal_email, normal_name, normal_national_id, normal_phone
from domain.errors import InvalidField
from domain.imported_values import CONTROL, Fields, legacy_id, moment, one_of
from domain.imports import Problem
from domain.password_hashes import require_known

LENGTHS = {"full_name": 200, "email": 254, "national_id": 40, "phone": 32}  # As a registration's.
PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@")
PLAIN_PHONE = re.compile(r"\+[1-9][0-9]{8,14}")
PHONE_BEGINNING = 8  # Characters: the country's code and at least four digits more, longer than any prefix.
GENDERS = ("M", "F")


class ImportedCustomer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    legacy_id: str
    full_name: str
    email: str
    national_id: str
    phone: str | None
    gender: str | None
    password_hash: str
    created_at: datetime


def parse(values: Sequence[str], now: datetime, region: str) -> ImportedCustomer | list[Problem]:
    """Return what the row says, or every rule that it breaks. `values` are in the order of the columns."""
    fields = Fields()
    old_id, name, email, national_id, hashed, created_at, phone, gender = values
    customer = {
        "legacy_id": fields.parse(legacy_id, old_id),
        "full_name": fields.parse(_name, name),
        "email": fields.parse(_email, email),
        "national_id": fields.parse(_national_id, national_id),
        "phone": fields.parse(_phone, phone, region) if phone else None,
        "gender": fields.parse(one_of, gender, "gender", GENDERS) if gender else None,
        "password_hash": fields.parse(require_known, hashed.strip()),
        "created_at": fields.parse(moment, created_at, now),
    }
    return fields.problems or ImportedCustomer(**customer)  # type: ignore[arg-type]  # without a problem, none is None


def _name(text: str) -> str:
    return normal_name(_short(text, "full_name"))


def _email(text: str) -> str:
    """Return the address as a registration has it; of a plain one only the domain takes time, and few are new."""
    plain = _short(text.strip(), "email")
    local, at, domain = plain.rpartition("@")
    if PLAIN_LOCAL.fullmatch(local + at):
        return f"{local.lower()}@{_domain(domain)}"
    return _checked(plain)


@lru_cache(maxsize=10_000)
def _domain(text: str) -> str:
    return _checked(f"a@{text}").removeprefix("a@")


def _checked(email: str) -> str:
    try:
        return normal_email(email)
    except InvalidField:  # Its reason may quote the address, and rejects may be mailed around.
        raise InvalidField("email", "is an e-mail address, with a dot behind the @-sign") from None


def _national_id(text: str) -> str:
    return normal_national_id(_short(text, "national_id"))


def _phone(text: str, region: str) -> str:
    """Return the number in E.164; of numbers that begin alike, only the first takes time."""
    if PLAIN_PHONE.fullmatch(text) and _is_plain(text[:PHONE_BEGINNING], len(text)):
        return text
    return normal_phone(_short(text, "phone"), region)


@lru_cache(maxsize=100_000)
def _is_plain(beginning: str, length: int) -> bool:
    """Whether all numbers that begin so and are that long are possible, and in E.164 as they stand.

    What is possible is a matter of the length; a country's own prefix is looked for at the beginning, unless the
    country has a rule that rewrites numbers, which may look further.
    """
    text = beginning.ljust(length, "0")
    try:
        parsed = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return False
    region = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    has_no_rule = metadata is not None and metadata.national_prefix_transform_rule is None
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return has_no_rule and e164 == text and phonenumbers.is_possible_number(parsed)


def _short(text: str, field: str) -> str:
    if len(text) > LENGTHS[field] or CONTROL.search(text):
        raise InvalidField(field, f"has at most {LENGTHS[field]} characters, and no control characters")
    return text


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a batch's keys belong to someone already."""

    legacy_ids: Collection[str]
    emails: Collection[str]
    national_ids: Collection[str]  # Indexes.


class SealedCustomer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A customer as stored: nothing in it can be read or used as it stands."""

    id: UUID
    legacy_id: str
    full_name: str
    email: str
    national_id_sealed: str
    national_id_index: str
    phone_sealed: str | None
    phone_index: str | None
    gender: str | None
    password_hash: str
    created_at: datetime


def duplicates(batch: Iterable[SealedCustomer], taken: Taken) -> list[list[Problem]]:
    """Return, for each of the batch, which of its keys an earlier one has, in the batch or before it."""
    old_ids, emails, national_ids = set(taken.legacy_ids), set(taken.emails), set(taken.national_ids)
    found = []
    for one in batch:
        problems = [
            Problem(field, "belongs to an earlier customer")
            for field, key, known in (
                ("legacy_id", one.legacy_id, old_ids),
                ("email", one.email, emails),
                ("national_id", one.national_id_index, national_ids),
            )
            if key in known
        ]
        if not problems:
            old_ids.add(one.legacy_id)
            emails.add(one.email)
            national_ids.add(one.national_id_index)
        found.append(problems)
    return found


class StoredCustomer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of a row, as far as it can be compared with it."""

    legacy_id: str
    full_name: str
    email: str
    national_id_index: str
    phone_index: str | None
    gender: str | None
    created_at: datetime


def differing(source: SealedCustomer, stored: StoredCustomer) -> list[Problem]:
    """Return the fields that are not as in the source. Their values are a person's, and stay unsaid."""
    return [
        Problem(name.removesuffix("_index"), "is not the source's")
        for name in StoredCustomer.__struct_fields__
        if getattr(source, name) != getattr(stored, name)
    ]
