"""Where webhooks may go: public addresses only, so that nobody reaches our own network through us (CWE-918).

A URL's text is judged when it is registered (`parse_url`), the addresses of its host each time that we connect
(`refusal`). Only the second can be relied on: a name may resolve to anything, and to something else tomorrow.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_network

from domain.errors import InvalidField

URL_CHARACTERS_MAX = 2_048  # What clients and proxies pass without cutting; RFC 9110, section 4.1 asks for 8,000.
NAME_CHARACTERS_MAX = 253  # RFC 1035, section 2.3.4: 255 bytes on the wire, without the root's and the first length.
PORT_MAX = 65_535  # 16 bits (RFC 9293, section 3.1).
PORTS = {"443", "8443"}  # HTTPS and its customary second port: a webhook is no way to scan other services.
DEFAULT_PORTS = {"https": "443", "http": "80"}

# No public name ends so (RFC 6761, RFC 9476): the resolver of our own network would be the only one to know it.
INTERNAL_SUFFIXES = (
    "localhost",  # RFC 6761, section 6.3.
    "local",  # Multicast DNS (RFC 6762).
    "internal",  # Reserved for private use (ICANN Board, resolution 2024.07.29.06); clouds name their metadata so.
    "localdomain",  # What resolvers of Linux distributions append.
    "home.arpa",  # RFC 8375.
    "onion",  # Tor (RFC 7686): never in the DNS.
    "alt",  # RFC 9476: never in the DNS.
    "test",  # RFC 6761, section 6.2.
    "invalid",  # RFC 6761, section 6.4.
    "example",  # RFC 6761, section 6.5; example.com and its siblings are public.
)

LOOPBACK = tuple(map(ip_network, ("127.0.0.0/8", "::1/128")))
GLOBAL_UNICAST = ip_network("2000::/3")  # All of IPv6 that is given out (RFC 4291, section 2.4; IANA).

# IANA's special-purpose registries (RFC 6890, RFC 8190) and what is like them, the most specific first. Not
# `is_global`: Python's versions disagree about it, and it is true for NAT64 and 6to4.
REFUSED = tuple(
    (ip_network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this_network"),  # RFC 791, section 3.2. Linux connects 0.0.0.0 to itself.
        ("10.0.0.0/8", "private"),  # RFC 1918.
        ("100.64.0.0/10", "carrier_grade_nat"),  # RFC 6598. Alibaba's metadata: 100.100.100.200.
        ("127.0.0.0/8", "loopback"),  # RFC 1122, section 3.2.1.3.
        ("168.63.129.16/32", "cloud_platform"),  # Azure's "WireServer": a public address, but answered by the host.
        ("169.254.0.0/16", "link_local"),  # RFC 3927. Metadata of AWS, GCP, Azure, Oracle: 169.254.169.254.
        ("172.16.0.0/12", "private"),  # RFC 1918.
        ("192.0.0.0/24", "reserved"),  # IETF protocol assignments (RFC 6890). Oracle's metadata was 192.0.0.192.
        ("192.0.2.0/24", "documentation"),  # TEST-NET-1 (RFC 5737).
        ("192.31.196.0/24", "reserved"),  # AS112-v4 (RFC 7535): a sink for DNS, run by anybody.
        ("192.52.193.0/24", "reserved"),  # AMT (RFC 7450): relays for multicast.
        ("192.88.99.0/24", "embedded_ipv4"),  # 6to4 relay anycast, deprecated (RFC 7526).
        ("192.168.0.0/16", "private"),  # RFC 1918.
        ("192.175.48.0/24", "reserved"),  # Direct delegation AS112 (RFC 7534).
        ("198.18.0.0/15", "benchmarking"),  # RFC 2544.
        ("198.51.100.0/24", "documentation"),  # TEST-NET-2 (RFC 5737).
        ("203.0.113.0/24", "documentation"),  # TEST-NET-3 (RFC 5737).
        ("224.0.0.0/4", "multicast"),  # RFC 5771.
        ("255.255.255.255/32", "broadcast"),  # RFC 919, section 7.
        ("240.0.0.0/4", "reserved"),  # RFC 1112, section 4.
        ("::/128", "unspecified"),  # RFC 4291, section 2.5.2.
        ("::1/128", "loopback"),  # RFC 4291, section 2.5.3.
        ("::ffff:0:0/96", "embedded_ipv4"),  # IPv4-mapped (RFC 4291, section 2.5.5.2): the same host by another name.
        ("::/96", "embedded_ipv4"),  # IPv4-compatible, deprecated (RFC 4291, section 2.5.5.1).
        ("::ffff:0:0:0/96", "embedded_ipv4"),  # IPv4-translated (RFC 2765, section 2.1).
        ("64:ff9b::/96", "embedded_ipv4"),  # NAT64 (RFC 6052).
        ("64:ff9b:1::/48", "embedded_ipv4"),  # NAT64 for local use (RFC 8215).
        ("2001::/32", "embedded_ipv4"),  # Teredo (RFC 4380).
        ("2001:2::/48", "benchmarking"),  # RFC 5180.
        ("2001::/23", "reserved"),  # IETF protocol assignments (RFC 2928): AMT, AS112, ORCHID and ORCHIDv2 among them.
        ("2001:db8::/32", "documentation"),  # RFC 3849.
        ("2002::/16", "embedded_ipv4"),  # 6to4 (RFC 3056).
        ("2620:4f:8000::/48", "reserved"),  # Direct delegation AS112 (RFC 7534).
        ("3ffe::/16", "reserved"),  # The 6bone, returned (RFC 3701); early Teredo was in it.
        ("3fff::/20", "documentation"),  # RFC 9637.
        ("fc00::/7", "private"),  # Unique local (RFC 4193). Metadata of AWS: fd00:ec2::254.
        ("fe80::/10", "link_local"),  # RFC 4291, section 2.5.6.
        ("fec0::/10", "private"),  # Site-local, deprecated (RFC 3879).
        ("ff00::/8", "multicast"),  # RFC 4291, section 2.7.
    )
)

# RFC 3986, appendix B, with the authority in its parts. The text is visible ASCII when it comes here.
ABSOLUTE_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?P<userinfo>[^/?#]*@)?"
    r"(?P<host>\[[^\]/?#]*\]|[^:\[\]/?#]*)"
    r"(?P<port>:[^/?#]*)?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?",
    re.IGNORECASE,
)
TOO_LONG = f"a webhook's URL has at most {URL_CHARACTERS_MAX:,} characters"
VISIBLE_ASCII = re.compile(r"[!-~]*")
PORT = re.compile(r"[1-9][0-9]{0,4}")
LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")  # Letters, digits, hyphen (RFC 1123, section 2.1).
# As the WHATWG's URL standard has it ("ends in a number"): then C libraries take the whole for an IPv4 address,
# decimal, octal, hexadecimal, or with parts left out.
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def refusal(address: IPv4Address | IPv6Address, *, allow_loopback: bool) -> str | None:
    """Return why a webhook may not connect to `address`, as a snake_case word; None when it may.

    An IPv6 address that embeds an IPv4 address is refused, also when that one is public: what it reaches depends
    on translators of our network that we know nothing of. `allow_loopback` lets 127.0.0.0/8 and ::1 pass.
    """
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "link_local"  # A zone means something on one link only (RFC 4007, section 6).
    if allow_loopback and _is_loopback(address):
        return None
    for network, reason in REFUSED:
        if address in network:
            return reason
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return "reserved"
    return None


def parse_url(text: str, field: str, *, allow_loopback: bool) -> str:
    """Return the URL of a webhook as it will be requested.

    Scheme and host come in lower case, an IPv6 address in its short form (RFC 5952), without the scheme's own
    port, with a path; path and query stay as they are. `allow_loopback` also lets http, https and any port pass
    for loopback hosts: `localhost` and the names below it, 127.0.0.0/8 and ::1.

    Raises:
        InvalidField: it breaks a rule; the message says which.

    """
    if len(text) > URL_CHARACTERS_MAX:
        raise InvalidField(field, TOO_LONG)
    if not VISIBLE_ASCII.fullmatch(text):
        raise InvalidField(field, "a webhook's URL is visible ASCII: percent-encode the path, write names in punycode")
    url = ABSOLUTE_URL.fullmatch(text)
    if url is None or "\\" in text:
        raise InvalidField(field, "a webhook's URL is absolute, such as https://hooks.example.com/tekana")
    if url["userinfo"] is not None or url["fragment"] is not None:
        raise InvalidField(field, "a webhook's URL has no user, no password and no fragment")
    host, is_loopback = _parse_host(url["host"].lower(), field, allow_loopback=allow_loopback)
    scheme = _parse_scheme(url["scheme"].lower(), field, is_loopback=is_loopback)
    port = _parse_port(url["port"], field, is_loopback=is_loopback)
    authority = host if port in {"", DEFAULT_PORTS[scheme]} else f"{host}:{port}"
    requested = f"{scheme}://{authority}{url['path'] or '/'}{url['query'] or ''}"
    # Its own spelling may be longer: a path begins with a slash, and an address is written out.
    if len(requested) > URL_CHARACTERS_MAX:
        raise InvalidField(field, TOO_LONG)
    return requested


def _parse_host(host: str, field: str, *, allow_loopback: bool) -> tuple[str, bool]:
    """Return the host as a URL spells it, and whether it is this machine."""
    address = _literal(host, field)
    if address is None:
        _require_name(host, field, allow_loopback=allow_loopback)
        return host, _is_localhost(host)
    reason = refusal(address, allow_loopback=allow_loopback)
    if reason is not None:
        raise InvalidField(field, f"a webhook's host has a public address; this one is {reason}")
    return f"[{address}]" if address.version == 6 else str(address), _is_loopback(address)


def _literal(host: str, field: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host spells in its one canonical way, None for a name."""
    try:
        if host.startswith("["):
            return IPv6Address(host[1:-1])
        if NUMBER.fullmatch(host.rpartition(".")[2]):
            return IPv4Address(host)
    except ValueError:
        sentence = "a host that is an address is four decimal numbers without leading zeros, or IPv6 in brackets"
        raise InvalidField(field, sentence) from None
    return None


def _require_name(host: str, field: str, *, allow_loopback: bool) -> None:
    labels = host.split(".")
    if len(host) > NAME_CHARACTERS_MAX or not all(map(LABEL.fullmatch, labels)):
        # Neither a dot at the end: certificates and SNI know no such names (RFC 6066, section 3).
        raise InvalidField(field, "a host name has labels of letters, digits and hyphens, with dots between them only")
    if allow_loopback and _is_localhost(host):
        return
    if len(labels) == 1 or f".{host}".endswith(tuple(f".{suffix}" for suffix in INTERNAL_SUFFIXES)):
        raise InvalidField(field, "a webhook's host has a public name, with a dot, that the whole Internet resolves")


def _parse_scheme(scheme: str, field: str, *, is_loopback: bool) -> str:
    if scheme != "https" and not (is_loopback and scheme == "http"):
        raise InvalidField(field, "a webhook's URL begins with https://")
    return scheme


def _parse_port(port: str | None, field: str, *, is_loopback: bool) -> str:
    """Return the port's digits; empty when the URL names none."""
    digits = "" if port is None else port[1:]
    is_port = PORT.fullmatch(digits) is not None and int(digits) <= PORT_MAX
    if port is not None and not (is_port and (is_loopback or digits in PORTS)):
        raise InvalidField(field, "a webhook's port is 443, 8443, or left out")
    return digits


def _is_loopback(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in LOOPBACK)


def _is_localhost(name: str) -> bool:
    return f".{name}".endswith(".localhost")  # RFC 6761, section 6.3.
