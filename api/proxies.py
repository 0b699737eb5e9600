"""Load balancers: whose word on a client's address is believed."""

import ipaddress

from settings import SettingsError

NOBODY = "none"


def trusted(named: str) -> list[str]:
    """Return the addresses and networks whose X-Forwarded-For is believed; `named` is the setting.

    Raises:
        SettingsError: one of them is neither, or is everybody.

    """
    if named == NOBODY:
        return []
    networks = [one.strip() for one in named.split(",")]
    if not all(map(_is_network, networks)):
        raise SettingsError("TRUSTED_PROXIES: addresses or networks such as 10.0.0.0/8, comma-separated, not all")
    return networks


def _is_network(text: str) -> bool:
    """Everybody is no network: then anybody could write the address that limits go by."""
    try:
        return ipaddress.ip_network(text).prefixlen > 0
    except ValueError:
        return False
