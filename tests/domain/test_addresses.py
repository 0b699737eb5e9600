"""Nothing but the public Internet can be asked for, however it is spelled."""

from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest

from domain.addresses import LOOPBACK, REFUSED, parse_url, refusal
from domain.errors import InvalidField
from tests.addresses import (
    FORBIDDEN_ADDRESSES,
    FORBIDDEN_URLS,
    GOOD_ADDRESSES,
    GOOD_URLS,
    LOOPBACK_URLS,
    NEVER_ALLOWED_ADDRESSES,
    host,
)

BOTH = pytest.mark.parametrize("allow_loopback", [False, True], ids=["strict", "loopback"])


def test_the_tables_are_large_enough_to_mean_something() -> None:
    assert len({*FORBIDDEN_ADDRESSES, *FORBIDDEN_URLS}) >= 150
    assert len({*GOOD_ADDRESSES, *(url for url, _ in GOOD_URLS)}) >= 50


@pytest.mark.parametrize(("address", "reason"), FORBIDDEN_ADDRESSES)
def test_an_address_that_is_not_public_is_refused(address: str, reason: str) -> None:
    assert refusal(ip_address(address), allow_loopback=False) == reason


@BOTH
@pytest.mark.parametrize("address", GOOD_ADDRESSES)
def test_a_public_address_passes(address: str, *, allow_loopback: bool) -> None:
    assert refusal(ip_address(address), allow_loopback=allow_loopback) is None


@pytest.mark.parametrize(("address", "reason"), NEVER_ALLOWED_ADDRESSES)
def test_loopback_allowed_allows_nothing_else(address: str, reason: str) -> None:
    assert refusal(ip_address(address), allow_loopback=True) == reason


@pytest.mark.parametrize("address", ["127.0.0.1", "127.255.255.255", "::1"])
def test_loopback_passes_where_it_is_allowed(address: str) -> None:
    assert refusal(ip_address(address), allow_loopback=True) is None


@pytest.mark.parametrize("network", [network for network, _ in REFUSED], ids=str)
def test_a_refused_network_is_refused_from_its_first_address_to_its_last(network: IPv4Network | IPv6Network) -> None:
    edges = [network[at] for at in (0, -1)]
    assert [edge for edge in edges if refusal(edge, allow_loopback=False) is None] == []


def test_every_address_that_python_calls_private_is_refused() -> None:
    """A second opinion, from a list that others maintain: one address of each /16."""
    found = [ip_address(high << 16 | 1) for high in range(2**16)]
    assert [one for one in found if one.is_private and refusal(one, allow_loopback=False) is None] == []


@BOTH
@pytest.mark.parametrize(("url", "rule"), FORBIDDEN_URLS)
def test_a_url_that_breaks_a_rule_is_told_which(url: str, rule: str, *, allow_loopback: bool) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_url(url, "url", allow_loopback=allow_loopback)
    assert refused.value.field == "url"
    assert rule in refused.value.message


@pytest.mark.parametrize(("address", "reason"), FORBIDDEN_ADDRESSES)
def test_an_address_that_is_not_public_is_refused_as_a_host(address: str, reason: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_url(f"https://{host(address)}/", "url", allow_loopback=False)
    assert refused.value.message.endswith(f"this one is {reason}")


@BOTH
@pytest.mark.parametrize(("url", "requested"), GOOD_URLS)
def test_a_good_url_is_returned_as_it_will_be_requested(url: str, requested: str, *, allow_loopback: bool) -> None:
    assert parse_url(url, "url", allow_loopback=allow_loopback) == requested


@pytest.mark.parametrize(("url", "requested"), GOOD_URLS + LOOPBACK_URLS)
def test_what_was_returned_is_returned_again(url: str, requested: str) -> None:
    assert parse_url(requested, "url", allow_loopback=True) == parse_url(url, "url", allow_loopback=True)


@pytest.mark.parametrize("address", GOOD_ADDRESSES)
def test_a_public_address_is_a_good_host(address: str) -> None:
    url = f"https://{host(address)}:8443/"
    assert parse_url(url, "url", allow_loopback=False) == url


@pytest.mark.parametrize(("url", "requested"), LOOPBACK_URLS)
def test_a_loopback_host_has_its_scheme_and_port_free_where_it_is_allowed(url: str, requested: str) -> None:
    assert parse_url(url, "url", allow_loopback=True) == requested


@pytest.mark.parametrize("url", [url for url, _ in LOOPBACK_URLS])
def test_a_loopback_host_is_refused_where_it_is_not_allowed(url: str) -> None:
    with pytest.raises(InvalidField):
        parse_url(url, "url", allow_loopback=False)


@pytest.mark.parametrize("url", ["ftp://localhost/", "http://localhost:0/", "http://[::1]:65536/", "https://[::1]:/"])
def test_a_loopback_host_is_still_asked_by_http_on_a_port(url: str) -> None:
    with pytest.raises(InvalidField):
        parse_url(url, "url", allow_loopback=True)


def test_the_loopback_networks_are_the_refused_ones_of_that_name() -> None:
    assert {network for network, reason in REFUSED if reason == "loopback"} == set(LOOPBACK)
