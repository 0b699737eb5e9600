"""What has broken others, in every text, path, query and header: refused as the contract says, or kept as it came.

At least 500 bodies beyond a limit each get a 4xx that names the field, and the process stays as large as it was.
"""

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from local.stack import Stack
from tests.api.clients import Api, Customer, deposit, registration, transfer

CASES_MIN = 500
GROWTH_BYTES_MAX = 64 * 1024 * 1024  # Caches of a process that has just begun fill up, too.
TEXTS = [
    *(
        "' OR '1'='1",
        "'; DROP TABLE wallets; --",
        '" OR 1=1 --',
        "1) OR (1=1",
        "' UNION SELECT NULL --",
        "%' AND pg_sleep(9)--",
    ),
    *(
        "a\r\nSet-Cookie: x=1",
        "a\nX: 1",
        "%0d%0aX:%201",
        "<script>alert(1)</script>",
        "{{7*7}}",
        "${7*7}",
        "#{7*7}",
        "$(id)",
    ),
    *(
        "`id`",
        "| id",
        "; id",
        "../../etc/passwd",
        "..\\..\\win.ini",
        "%2e%2e%2f",
        "file:///etc/passwd",
        "${jndi:ldap://x/a}",
    ),
    *(
        "\u202eabc",
        "\u200b",
        "\ufeff",
        "a\u0301" * 20,
        "\U0001f4a9",
        "\u0130",
        "\ufdfa",
        "=1+1",
        "+1",
        "@SUM(1)",
        "%s%n",
        "{0}",
        "null",
    ),
]
NUMBERS = [
    *(
        "0",
        "-1",
        "-0",
        "-0.0",
        "1.0",
        "1.5",
        "1e3",
        "1E3",
        "1e-3",
        "1e400",
        "-1e400",
        "NaN",
        "Infinity",
        "-Infinity",
        "0x10",
        "010",
    ),
    *(
        "1_000",
        "+1",
        ".5",
        "1.",
        "1e",
        "--1",
        "1,5",
        str(10**15 + 1),
        str(2**53 + 1),
        str(2**63 - 1),
        str(2**63),
        str(2**64),
    ),
    *(
        str(-(2**63)),
        "9" * 400,
        "9" * 5_000,
        "1" + "0" * 16,
        '"5"',
        '"1500"',
        "true",
        "false",
        "null",
        "[]",
        "[1]",
        "{}",
        '""',
        '" 1"',
    ),
]
WRONG_TEXTS = [
    "null",
    "1",
    "true",
    "[]",
    "{}",
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\udc00x"',
    '"' + "a" * 60_000 + '"',
]
WRONG_IDS = [*WRONG_TEXTS, '""', '"0"', '"\' OR 1=1"', '"../"', '"00000000-0000-0000-0000-00000000000"', '"%00"']
WRONG_CODES = [*WRONG_TEXTS, '""', '"rwf"', '"XXX"', '"XAU"', '"RW"', '"RWFF"', '"R\\u0174F"', '"\' --"']
BROKEN = [
    *(
        "",
        " ",
        "{",
        "}",
        "[",
        "nul",
        "{}x",
        "{}{}",
        "{,}",
        '{"a"}',
        "{'a': 1}",
        "{/**/}",
        "\ufeff{}",
        '{"a": 1,}',
        "\0",
        "[]",
        "1",
        '"x"',
    ),
    *(
        "[" * 30_000,
        '{"a":' * 10_000,
        "[" * 20_000 + "]" * 20_000,
        '{"metadata":' * 5_000 + "1" + "}" * 5_000,
        '"' + "\\u0000" * 9_000 + '"',
    ),
]


def bodies(made: dict[str, Any], wrong: dict[str, list[str]]) -> list[bytes]:
    """Return the body with each wrong value, as text, in the place of a right one; and with each field twice."""
    found = [broken.encode() for broken in BROKEN]
    for field, values in wrong.items():
        marked = json.dumps(made | {field: "MARK"})
        found += [marked.replace('"MARK"', value).encode("utf-8", "surrogatepass") for value in values]
    whole = json.dumps(made)
    found += [f'{whole[:-1]}, "{field}": {json.dumps(value)}}}'.encode() for field, value in made.items()]
    found += [
        whole.replace(f'"{field}"', f'"{other}"').encode()
        for field in made
        for other in ("x", field.upper(), f"{field} ")
    ]
    found += [
        whole[:-1].encode() + b', "' + name + b'": 1}'
        for name in (b"x", b"__proto__", b"$ne", b"\\u0000", b"\xff", b"id", b"state")
    ]
    return [
        *found,
        whole.encode("utf-16"),
        whole.encode("utf-32"),
        whole.encode() + b"\xff",
        b" " * 70_000 + whole.encode(),
    ]


def table(ann: Customer, bob: Customer) -> list[tuple[str, bytes]]:
    """Return operations with bodies that break a limit of theirs."""
    money = {"amount": NUMBERS, "currency": WRONG_CODES, "description": WRONG_TEXTS[1:]}
    by_operation: dict[str, tuple[dict[str, Any], dict[str, list[str]]]] = {
        "/v1/deposits": (deposit(ann.wallet_id), {**money, "wallet_id": WRONG_IDS}),
        "/v1/withdrawals": (deposit(ann.wallet_id), {**money, "wallet_id": WRONG_IDS}),
        "/v1/transfers": (
            transfer(ann.wallet_id, bob.wallet_id),
            {
                **money,
                "source_wallet_id": WRONG_IDS,
                "destination_wallet_id": [*WRONG_IDS[1:]],
                "metadata": [*WRONG_TEXTS[1:4], '{"a": 1}'],
            },
        ),
        "/v1/wallets": ({"currency": "RWF", "customer_id": ann.id}, {"currency": WRONG_CODES, "type": WRONG_TEXTS[1:]}),
        "/v1/customers": (
            registration(),
            {
                "full_name": WRONG_TEXTS,
                "email": [*WRONG_TEXTS, '""', '"a"', '"a@b@c"'],
                "national_id": WRONG_TEXTS,
                "password": WRONG_TEXTS,
            },
        ),
    }
    return [(path, body) for path, (made, wrong) in by_operation.items() for body in bodies(made, wrong)]


def test_what_breaks_a_limit_is_refused_by_name_and_the_process_stays_small(
    stack: Stack, operator: Api, ann: Customer, bob: Customer
) -> None:
    cases = table(ann, bob)
    before, wrong = resident(stack), []
    for path, body in cases:
        answer = operator.post(path, body)
        if not 400 <= answer.status_code < 500 or not is_problem(answer):
            wrong.append((path, body[:200], answer.status_code, answer.text[:200]))
    assert wrong == []
    assert len(cases) >= CASES_MIN
    assert resident(stack) < before + GROWTH_BYTES_MAX
    assert {one["kind"] for one in ann.api.get("/v1/transactions").json()["items"]} == {"deposit"}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_breaks_others_is_kept_as_it_came(operator: Api, ann: Customer, text: str) -> None:
    result = operator.succeeded(
        "/v1/deposits", deposit(ann.wallet_id, description=text, external_reference=str(uuid4()))
    )
    found = operator.get(f"/v1/transactions/{result['transaction_id']}")
    assert found.json()["description"] == text
    assert "set-cookie" not in found.headers


@pytest.mark.parametrize("text", TEXTS)
def test_it_finds_nothing_in_a_path_or_a_query(ann: Customer, operator: Api, text: str) -> None:
    for path in ("/v1/wallets/", "/v1/customers/", "/v1/jobs/", "/v1/transactions/", "/v1/", "/", "/docs/"):
        answer = operator.http.get(path + httpx2.QueryParams({"": text}).__str__()[1:], headers=operator.headers)
        assert answer.status_code in {400, 404, 405}, answer.text
        assert is_problem(answer)
    for path, name in (
        ("/v1/wallets", "customer_id"),
        ("/v1/transactions", "from"),
        ("/v1/jobs", "kind"),
        ("/v1/jobs", "cursor"),
    ):
        assert operator.get(path, {name: text}).status_code == 400
    assert operator.get("/v1/customers", {"email": text}).json().get("items", []) == []
    assert ann.api.get("/v1/customers/me").status_code == 200


@pytest.mark.parametrize(
    "name", ["X-Request-Id", "Prefer", "If-None-Match", "Last-Event-ID", "Content-Type", "Accept", "Host", "Cookie"]
)
def test_a_header_with_such_a_text_changes_nothing(operator: Api, ann: Customer, name: str) -> None:
    for text in TEXTS:
        value = text.encode("utf-8").replace(b"\r", b"").replace(b"\n", b"")
        headers = [(name.encode(), value), (b"Authorization", operator.headers["Authorization"].encode())]
        answer = operator.http.get(f"/v1/jobs/{ann.registration_job_id}", headers=headers)
        assert answer.status_code == 200 or (name == "Host" and answer.status_code == 400), (text, answer.text)
        echoed = answer.headers["x-request-id"].encode()
        assert echoed != value or re.fullmatch(rb"[a-z]+", value)  # "null" is a name like any other.


@pytest.mark.parametrize("key", ["", " ", "a b", "\t", "a" * 256, "\u00e9", "\u202e", "a\u00a0b"])
def test_an_idempotency_key_of_other_letters_is_none(operator: Api, ann: Customer, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode().strip()), (b"Content-Type", b"application/json")]
    headers.append((b"Authorization", operator.headers["Authorization"].encode()))
    answer = operator.http.post("/v1/deposits", content=json.dumps(deposit(ann.wallet_id)), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


def is_problem(answer: httpx2.Response) -> bool:
    return (
        answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == answer.status_code
    )


def resident(stack: Stack) -> int:
    """Return the memory of the API process, in bytes."""
    pid = (stack.data_dir / "run" / "api.pid").read_text().strip()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4_096
