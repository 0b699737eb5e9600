"""Sample files of any size: a platform as it might have been, of people who never were.

The same number of customers and the same seed give the same files, byte for byte.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from domain.control_totals import Holding, Totals
from domain.imports import OPTIONAL, REQUIRED, FileKind

# Names are put together from syllables.
SYLLABLES = ("ba", "ke", "lu", "mi", "no", "ra", "se", "ti", "vu", "wa", "ze", "go", "du", "fi", "ho", "ja")
DOMAINS = ("mail.example", "post.example.com", "letters.example.org")  # Nobody's (RFC 2606).
FIRST_DAY = datetime(2018, 1, 1, tzinfo=UTC)
SECONDS = 7 * 365 * 86_400  # The platform took customers for seven years.
CURRENCIES = (("RWF", 12), ("KES", 5), ("USD", 2), ("UGX", 1))  # And their shares.
# Of the password "correct horse", so that whoever tries the migration can log in.
HASHES = (
    "$2b$10$Q9GvFiMtUEwpZbOMKpTuI.tO.neVRQpGa6YgXw51dfRSuWCNMjc8q",
    '"$argon2id$v=19$m=4096,t=3,p=1$50hM6lHG1CQFz31n4Rsfsg$1Xup447U/jvrT9/s0KTjC7tIp2jMQ3/HpIr1I0BlwJY"',
)
EMPTY_SHARE, SECOND_SHARE, PHONE_SHARE = 0.1, 0.2, 0.9


def write(folder: Path, customers: int, seed: int) -> Totals:
    """Write `customers.csv` and `wallets.csv`; return what they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    chance, totals = random.Random(seed), Totals()  # noqa: S311 - samples are to come again
    with (
        (folder / "customers.csv").open("w", encoding="utf-8") as people,
        (folder / "wallets.csv").open("w", encoding="utf-8") as purses,
    ):
        people.write(",".join((*REQUIRED[FileKind.CUSTOMERS], *OPTIONAL[FileKind.CUSTOMERS])) + "\n")
        purses.write(",".join((*REQUIRED[FileKind.WALLETS], *OPTIONAL[FileKind.WALLETS])) + "\n")
        for number in range(1, customers + 1):
            at = FIRST_DAY + timedelta(seconds=SECONDS * number // customers)
            people.write(_customer(number, at, chance))
            for line in _wallets(number, at, chance, totals):
                purses.write(line)
    totals.customers = customers
    (folder / "totals.json").write_bytes(msgspec.json.format(msgspec.json.encode(totals)))
    return totals


def _customer(number: int, at: datetime, chance: random.Random) -> str:
    first, last = _name(chance), _name(chance)
    phone = f"+25078{number:07d}" if number < 10**7 and chance.random() < PHONE_SHARE else ""
    email = f"{first}.{last}{number}@{chance.choice(DOMAINS)}".lower()
    national_id = f"1{at.year - 25}{number:011d}"
    hashed = HASHES[number % len(HASHES)]
    gender = chance.choice(("M", "F", ""))
    return f"C{number},{first} {last},{email},{national_id},{hashed},{at:%Y-%m-%dT%H:%M:%SZ},{phone},{gender}\n"


def _name(chance: random.Random) -> str:
    return "".join(chance.choices(SYLLABLES, k=chance.randint(2, 4))).capitalize()


def _wallets(number: int, at: datetime, chance: random.Random, totals: Totals) -> Iterator[str]:
    for place in range(1 + (chance.random() < SECOND_SHARE)):
        [currency] = chance.choices([code for code, _ in CURRENCIES], [share for _, share in CURRENCIES])
        balance = 0 if chance.random() < EMPTY_SHARE else int(chance.lognormvariate(10, 2)) + 1
        holding = totals.currencies.setdefault(currency, Holding())
        holding.wallets += 1
        holding.balance_minor += balance
        kind = "saving" if place else "personal"
        yield f"W{number}-{place},C{number},{currency},{balance},{at:%Y-%m-%dT%H:%M:%SZ},,{kind},open\n"
