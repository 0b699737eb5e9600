"""Messages are signed as Standard Webhooks 1.0 says: what the page shows integrators verifies what the system sends.

Everything judges the same cases: the page's code in each language that this machine has, the package that the page
names, the code that signs, and a verifier that is written here from the specification alone.
"""

import base64
import hashlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec
import pytest

from domain.signatures import is_signed
from tests.api.clients import Api, Customer, Integrator, transfer
from tests.api.verifiers import PRESENT, Case, Verifier
from tests.sinks import Inbox, Message, Sinks

TRANSFERS = 6
TAMPERED = 1_000
SEED = 20_261_123  # The same cases in each run.
STALE_SECONDS = (-86_400 * 365, -3_600, -310, 310, 86_400)  # By how much a timestamp is off.
PREFIX = "whsec_"
OTHER_SECRET = PREFIX + base64.b64encode(bytes(range(32))).decode()
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
FROM_SCRATCH, DOMAIN = "from scratch", "domain"
PAGE = [name for name in PRESENT if name != "standardwebhooks"]
EVERY = [*PRESENT, FROM_SCRATCH, DOMAIN]

Judge = Callable[[Sequence[Case]], list[bool]]


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """HMAC as RFC 2104, section 2 has it, of what Standard Webhooks 1.0 signs."""
    key = base64.b64decode(secret.removeprefix(PREFIX)).ljust(64, b"\0")
    signed = b".".join([message_id.encode(), timestamp.encode(), body])
    inner = hashlib.sha256(bytes(one ^ 0x36 for one in key) + signed).digest()
    return "v1," + base64.b64encode(hashlib.sha256(bytes(one ^ 0x5C for one in key) + inner).digest()).decode()


def is_genuine(case: Case) -> bool:
    message_id, timestamp = case.headers.get(ID, ""), case.headers.get(TIMESTAMP, "")
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(time.time() - int(timestamp)) > 300:
        return False
    return signature(case.secret, message_id, timestamp, case.body) in case.headers.get(SIGNATURE, "").split(" ")


def judge_from_scratch(cases: Sequence[Case]) -> list[bool]:
    return [is_genuine(one) for one in cases]


def judge_by_domain(cases: Sequence[Case]) -> list[bool]:
    return [is_signed(one.secret, one.headers, one.body, now=time.time()) for one in cases]


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Judge]:
    """Build what judges; before any message is sent, because that may take longer than they stay fresh."""
    built = {name: Verifier(name, tmp_path_factory.mktemp(name)).judge for name in PRESENT}
    return MappingProxyType(built | {FROM_SCRATCH: judge_from_scratch, DOMAIN: judge_by_domain})


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Real messages to an endpoint, before and after its secret was replaced, and to a callback URL."""

    first: list[Message]
    rotated: list[Message]
    callback: Message
    old_secret: str
    new_secret: str
    callback_secret: str

    def genuine(self) -> list[Case]:
        """Return every message with each secret that verifies it."""
        old = [case(self.old_secret, one) for one in [*self.first, *self.rotated]]
        new = [case(self.new_secret, one) for one in self.rotated]
        return [*old, *new, case(self.callback_secret, self.callback)]


def case(secret: str, message: Message) -> Case:
    headers = {name: value for name, value in message.headers.items() if name.startswith("webhook-")}
    return Case(secret=secret, headers=headers, body=message.body)


@pytest.fixture(scope="module")
def integrator(judges: Mapping[str, Judge], new_integrator: Callable[..., Integrator]) -> Integrator:
    assert judges
    return new_integrator("*")


@pytest.fixture(scope="module")
def sent(integrator: Integrator, sink: Sinks, ann: Customer, bob: Customer) -> Sent:
    inbox = sink.open()
    endpoint = integrator.api.post("/v1/webhook-endpoints", {"url": inbox.url, "event_types": ["transfer.*"]}).json()
    first = [pay(integrator.api, inbox, ann, bob) for _ in range(TRANSFERS)]
    new = integrator.api.post(f"/v1/webhook-endpoints/{endpoint['id']}/rotate-secret").json()
    rotated = [pay(integrator.api, inbox, ann, bob) for _ in range(TRANSFERS)]
    integrator.api.delete(f"/v1/webhook-endpoints/{endpoint['id']}")
    called = sink.open()
    return Sent(
        first=first,
        rotated=rotated,
        callback=pay(integrator.api, called, bob, ann, callback_url=called.url),
        old_secret=endpoint["secret"],
        new_secret=new["secret"],
        callback_secret=integrator.callback_secret,
    )


def pay(api: Api, inbox: Inbox, *parties: Customer, **changes: str) -> Message:
    """Move money and return the message that tells of it."""
    source, destination = parties
    job = api.finished("/v1/transfers", transfer(source.wallet_id, destination.wallet_id, **changes))
    return inbox.of_job(job["id"])


@pytest.mark.parametrize("name", EVERY)
def test_a_genuine_message_is_verified(judges: Mapping[str, Judge], sent: Sent, name: str) -> None:
    assert judges[name](sent.genuine()) == [True] * (3 * TRANSFERS + 1)


@pytest.mark.parametrize("name", EVERY)
def test_a_new_secret_verifies_nothing_that_was_sent_before_it(
    judges: Mapping[str, Judge], sent: Sent, name: str
) -> None:
    assert judges[name]([case(sent.new_secret, one) for one in sent.first]) == [False] * TRANSFERS


def test_after_a_rotation_a_message_has_the_signatures_of_both_secrets(sent: Sent) -> None:
    expected = [
        {signature(secret, one.id, one.headers[TIMESTAMP], one.body) for secret in (sent.old_secret, sent.new_secret)}
        for one in sent.rotated
    ]
    assert [set(one.headers[SIGNATURE].split(" ")) for one in sent.rotated] == expected


def test_the_id_and_the_job_of_a_message_are_those_that_the_api_returns(sent: Sent, integrator: Integrator) -> None:
    for message in [*sent.first, *sent.rotated, sent.callback]:
        assert message.event["id"] == message.id
        assert message.data_text == integrator.api.get(f"/v1/jobs/{message.event['data']['id']}").content


def with_headers(case: Case, **changes: str) -> Case:
    """Change headers; `_` stands for `-`."""
    changed = {name.replace("_", "-"): value for name, value in changes.items()}
    return msgspec.structs.replace(case, headers=case.headers | changed)


def without(case: Case, name: str) -> Case:
    kept = {known: value for known, value in case.headers.items() if known != name}
    return msgspec.structs.replace(case, headers=kept)


def signed_again(case: Case, timestamp: str, *, secret: str | None = None) -> Case:
    """Sign a message with another time, as only somebody can who has the secret, or with another secret."""
    again = signature(secret or case.secret, case.headers[ID], timestamp, case.body)
    return with_headers(case, webhook_timestamp=timestamp, webhook_signature=again)


def flipped(text: str, chance: random.Random, *, end: int | None = None) -> str:
    """Flip one of the lower seven bits of a character (before `end`)."""
    place = chance.randrange(len(text) if end is None else end)
    return text[:place] + chr(ord(text[place]) ^ 1 << chance.randrange(7)) + text[place + 1 :]


def with_flipped_body(case: Case, chance: random.Random) -> Case:
    body = bytearray(case.body)
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    return msgspec.structs.replace(case, body=bytes(body))


def with_flipped_signatures(case: Case, chance: random.Random) -> Case:
    """Flip a bit in every signature; before the last digit of its base64, of which two bits say nothing."""
    signatures = (flipped(one, chance, end=len("v1,") + 42) for one in case.headers[SIGNATURE].split(" "))
    return with_headers(case, webhook_signature=" ".join(signatures))


def stale(case: Case, chance: random.Random) -> Case:
    return signed_again(case, str(int(time.time()) + chance.choice(STALE_SECONDS)))


TAMPERINGS: Mapping[str, Callable[[Case, random.Random], Case]] = {
    "a bit of the body": with_flipped_body,
    "a bit of the id": lambda one, chance: with_headers(one, webhook_id=flipped(one.headers[ID], chance)),
    "a bit of the timestamp": lambda one, chance: with_headers(
        one, webhook_timestamp=flipped(one.headers[TIMESTAMP], chance)
    ),
    "a bit of each signature": with_flipped_signatures,
    "a part of the body": lambda one, chance: msgspec.structs.replace(
        one, body=one.body[: chance.randrange(len(one.body))]
    ),
    "more body": lambda one, chance: msgspec.structs.replace(one, body=one.body + chance.choice([b"\n", b" ", b"{}"])),
    "an old or a future time": stale,
    "another version": lambda one, _: with_headers(
        one, webhook_signature=one.headers[SIGNATURE].replace("v1,", "v1a,")
    ),
    "no version": lambda one, _: with_headers(one, webhook_signature=one.headers[SIGNATURE].replace("v1,", "")),
    "a part of each signature": lambda one, chance: with_headers(
        one,
        webhook_signature=" ".join(part[: chance.randrange(46)] for part in one.headers[SIGNATURE].split(" ")),
    ),
    "an empty header": lambda one, chance: with_headers(one, **{chance.choice([ID, TIMESTAMP, SIGNATURE]): ""}),
    "no header": lambda one, chance: without(one, chance.choice([ID, TIMESTAMP, SIGNATURE])),
    "no headers": lambda one, _: msgspec.structs.replace(one, headers={}),
    "the signature of another secret": lambda one, _: signed_again(one, one.headers[TIMESTAMP], secret=OTHER_SECRET),
    "another secret": lambda one, _: msgspec.structs.replace(one, secret=OTHER_SECRET),
    "an empty secret": lambda one, chance: msgspec.structs.replace(one, secret=chance.choice(["", PREFIX])),
    "letters that are not ASCII": lambda one, _: with_headers(one, webhook_signature="v1,\u00e9\u4e2d" * 10),
    "a new id": lambda one, chance: with_headers(one, webhook_id=f"{one.headers[ID]}.{chance.randrange(10)}"),
}


@pytest.mark.parametrize("name", EVERY)
def test_none_of_a_thousand_tampered_messages_is_verified(judges: Mapping[str, Judge], sent: Sent, name: str) -> None:
    chance, genuine, kinds = random.Random(SEED), sent.genuine(), list(TAMPERINGS)  # noqa: S311 - not for secrets
    tampered = [TAMPERINGS[kinds[at % len(kinds)]](chance.choice(genuine), chance) for at in range(TAMPERED)]

    verdicts = judges[name](tampered)

    assert len(verdicts) == TAMPERED
    assert [(kinds[at % len(kinds)], tampered[at]) for at, verdict in enumerate(verdicts) if verdict] == []


@pytest.mark.parametrize("name", [*PAGE, FROM_SCRATCH])
def test_a_time_that_is_spelled_in_another_way_is_refused(judges: Mapping[str, Judge], sent: Sent, name: str) -> None:
    [one] = [case(sent.old_secret, sent.first[0])]
    spellings = [spelling.format(one.headers[TIMESTAMP]) for spelling in ("+{}", " {}", "{} ", "{}.0", "{}\n", "0x{}")]
    respelled = [with_headers(one, webhook_timestamp=spelling) for spelling in spellings]
    again = [signed_again(one, spelling) for spelling in spellings]
    assert judges[name]([*respelled, *again]) == [False] * 2 * len(spellings)


@pytest.mark.parametrize("name", PAGE)
@pytest.mark.parametrize("secret", ["", PREFIX, PREFIX + base64.b64encode(bytes(23)).decode()])
def test_without_a_real_secret_nothing_is_verified(
    judges: Mapping[str, Judge], sent: Sent, name: str, secret: str
) -> None:
    """A receiver whose configuration lacks the secret must not believe who signs with none either."""
    one = msgspec.structs.replace(case(sent.old_secret, sent.first[0]), secret=secret)
    key = secret or PREFIX
    assert judges[name]([signed_again(one, one.headers[TIMESTAMP], secret=key)]) == [False]
