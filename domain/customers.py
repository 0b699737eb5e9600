"""Customers: what a registration must say, and which ones are refused."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import email_validator
import msgspec
import phonenumbers

from domain.errors import InvalidField, Rejection
from domain.jobs import CallbackUrl, Claimed
from domain.wallets import WalletRequest

PASSWORD_MAX = 1_024  # Argon2 reads it all: a bound on the work of one request.
NATIONAL_ID = re.compile(r"[0-9A-Z]{4,32}")  # Rwanda's has 16 digits, Kenya's 7 or 8, passports letters too.

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Email = Annotated[str, msgspec.Meta(min_length=3, max_length=254)]  # RFC 5321, section 4.5.3.1.3.
NationalId = Annotated[str, msgspec.Meta(min_length=4, max_length=40)]
Password = Annotated[str, msgspec.Meta(min_length=8, max_length=PASSWORD_MAX)]
Phone = Annotated[str, msgspec.Meta(min_length=3, max_length=32)]


class CustomerState(StrEnum):
    OPEN = "open"  # Logs in, and moves money.
    FROZEN = "frozen"  # Neither, until an operator says so: all wallets are frozen too.
    CLOSED = "closed"  # All wallets are, and for good.


class RegisterCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    full_name: Name
    email: Email
    national_id: NationalId
    password: Password
    phone: Phone | None = None
    gender: Literal["M", "F"] | None = None
    wallet: WalletRequest | None = None
    callback_url: CallbackUrl | None = None


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of `customer.register`: nothing in it can be read or used as it stands."""

    full_name: str
    email: str
    national_id_sealed: str
    national_id_index: str
    phone_sealed: str | None
    phone_index: str | None
    gender: str | None
    password_hash: str
    wallet: WalletRequest | None


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer as they, and operators, see them."""

    id: UUID
    full_name: str
    email: str
    phone: str | None
    gender: Literal["M", "F"] | None
    national_id_last4: str
    state: CustomerState
    created_at: datetime


def registrations(batch: Iterable[Claimed]) -> dict[UUID, Registration]:
    return {job.id: msgspec.json.decode(job.payload, type=Registration) for job in batch}


def normal_name(text: str) -> str:
    """Return the name without surrounding blanks.

    Raises:
        InvalidField: nothing is left.

    """
    if not (name := " ".join(text.split())):
        raise InvalidField("full_name", "must not be blank")
    return name


def normal_email(text: str) -> str:
    """Return the address as it is compared: normalised (RFC 6531) and in lower case.

    Raises:
        InvalidField: it is not an e-mail address.

    """
    try:
        # Syntax only; `.test` (RFC 2606) is let through, for customers of a staging system.
        parsed = email_validator.validate_email(
            text, check_deliverability=False, globally_deliverable=False, test_environment=True
        )
    except email_validator.EmailNotValidError as error:
        raise InvalidField("email", str(error)) from error
    if "." not in parsed.domain:
        raise InvalidField("email", "the part after the @-sign needs a dot")
    return parsed.normalized.lower()


def normal_national_id(text: str) -> str:
    """Return the id in capitals, without blanks, hyphens and slashes.

    Raises:
        InvalidField: other characters are left, or too few.

    """
    plain = re.sub(r"[\s/-]", "", text).upper()
    if not NATIONAL_ID.fullmatch(plain):
        raise InvalidField("national_id", "has 4 to 32 letters and digits")
    return plain


def normal_phone(text: str, region: str) -> str:
    """Return the number in E.164; `region` (ISO 3166-1) completes one typed without a country code.

    Raises:
        InvalidField: no such number can exist.

    """
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise InvalidField("phone", "is not a phone number") from error
    if not phonenumbers.is_possible_number(parsed):
        raise InvalidField("phone", "is not a possible phone number")
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Who is registered and who is not, by job id."""

    registered: dict[UUID, Registration]
    rejected: dict[UUID, Rejection]


def decide(
    registrations: Mapping[UUID, Registration], emails: Collection[str], national_ids: Collection[str]
) -> Decision:
    """Admit the first of each e-mail and national id; `emails` and `national_ids` are those taken before."""
    known_emails, known_national_ids = set(emails), set(national_ids)
    decision = Decision(registered={}, rejected={})
    for job_id, registration in registrations.items():
        if code := reject(registration, known_emails, known_national_ids):
            decision.rejected[job_id] = code
        else:
            decision.registered[job_id] = registration
            known_emails.add(registration.email)
            known_national_ids.add(registration.national_id_index)
    return decision


def reject(registration: Registration, emails: Collection[str], national_ids: Collection[str]) -> Rejection | None:
    """Return why the registration is refused, given the e-mails and national id indexes that are taken."""
    if registration.email in emails:
        return Rejection.EMAIL_TAKEN
    if registration.national_id_index in national_ids:
        return Rejection.NATIONAL_ID_TAKEN
    return None
