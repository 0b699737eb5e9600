"""Behind load balancers a client's address is what they say, and nobody else is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack
from settings import SettingsError, read
from tests.api.clients import Api, registration
from tests.api.processes import PATIENT, forget_this_address, serving

REGISTRATIONS = 2
# Networks for documentation (RFC 5737): nobody else's requests are counted under these.
FIRST, SECOND, THIRD = "192.0.2.1", "198.51.100.2", "203.0.113.3"


@pytest.fixture(autouse=True)
def uncounted(stack: Stack) -> None:
    forget_this_address(stack.redis_url)


@pytest.fixture(scope="module")
def behind_us(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API process that takes this machine for its load balancer."""
    yield from _serving(stack, tmp_path_factory, "127.0.0.0/8")


@pytest.fixture(scope="module")
def behind_others(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API process with a load balancer that we are not."""
    yield from _serving(stack, tmp_path_factory, "10.0.0.0/8,192.0.2.0/24")


def test_a_load_balancers_clients_are_counted_one_by_one(behind_us: Api) -> None:
    assert _register(behind_us, FIRST, FIRST, SECOND, FIRST) == [202, 202, 202, 429]


@pytest.mark.parametrize("claim", ["{}, " + THIRD, "{}," + THIRD, "junk{}, " + THIRD])
def test_what_a_client_claims_in_front_of_its_address_has_no_effect(behind_us: Api, claim: str) -> None:
    claims = [claim.format(f"10.9.8.{number}") for number in range(REGISTRATIONS + 2)]
    assert _register(behind_us, *claims)[-1] == 429


def test_from_a_peer_that_is_no_load_balancer_the_header_has_no_effect(behind_others: Api) -> None:
    claims = [f"192.0.2.{number}" for number in range(100, 100 + REGISTRATIONS + 2)]
    assert _register(behind_others, *claims)[-1] == 429


@pytest.mark.parametrize(("address", "status"), [("10.1.2.3", 200), ("8.8.8.8", 404), ("unknown", 404)])
def test_metrics_are_for_clients_with_private_addresses(behind_us: Api, address: str, status: int) -> None:
    assert behind_us.get("/metrics", headers={"X-Forwarded-For": address}).status_code == status


def test_a_public_client_of_another_network_cannot_pass_for_a_private_one(behind_us: Api) -> None:
    spoofed = {"X-Forwarded-For": "10.1.2.3, 8.8.8.8"}
    assert behind_us.get("/metrics", headers=spoofed).status_code == 404


@pytest.mark.parametrize(
    ("named", "networks"),
    [("none", []), ("10.0.0.7", ["10.0.0.7"]), ("10.0.0.0/8, ::1", ["10.0.0.0/8", "::1"])],
)
def test_load_balancers_are_named_by_address_or_network(named: str, networks: list[str]) -> None:
    assert read({"TRUSTED_PROXIES": named}).trusted_networks == networks


@pytest.mark.parametrize("named", ["*", "10.0.0.1/8", "10.0.0.1,", "nginx"])
def test_nonsense_is_refused(named: str) -> None:
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES: addresses or networks"):
        read({"TRUSTED_PROXIES": named})


QUARTERS = "0.0.0.0/2,64.0.0.0/2,128.0.0.0/2,192.0.0.0/2"


@pytest.mark.parametrize(
    "named",
    ["0.0.0.0/0", "::/0", "0.0.0.0/1,128.0.0.0/1", QUARTERS, "::/1,8000::/1", "2000::/3", "10.0.0.7,128.0.0.0/1"],
)
def test_everybody_is_refused_in_however_many_pieces(named: str) -> None:
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES: all of them together"):
        read({"TRUSTED_PROXIES": named})


@pytest.mark.parametrize(
    "named", ["10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,127.0.0.0/8,fc00::/7,fe80::/10", "10.0.0.0/8,10.0.0.0/8"]
)
def test_all_private_networks_may_be_load_balancers(named: str) -> None:
    assert read({"TRUSTED_PROXIES": named}).trusted_networks == named.split(",")


def _register(api: Api, *forwarded: str) -> list[int]:
    return [
        api.post("/v1/customers", registration(), headers={"X-Forwarded-For": value}).status_code for value in forwarded
    ]


def _serving(stack: Stack, folders: pytest.TempPathFactory, proxies: str) -> Iterator[Api]:
    log: Path = folders.mktemp("log") / "api.log"
    limits = {"TRUSTED_PROXIES": proxies, "REGISTRATIONS_PER_MINUTE_MAX": str(REGISTRATIONS)}
    with serving(stack.env, log, altered=PATIENT, **limits) as api:
        yield api
