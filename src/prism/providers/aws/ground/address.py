"""From which address we come: machines let nobody else in."""

import ipaddress
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from prism.workspaces.ports import Refused

ASKED = "https://checkip.amazonaws.com"
PATIENCE = 5.0  # seconds


class AddressUnknown(Refused, code="CALLER_ADDRESS_UNKNOWN"):
    """Nobody knows from which address you come, and machines open to no other."""


def caller_cidr(said: str = "", endpoint: str | None = None, asked: str = ASKED) -> str:
    """The range to let in: what the setting says, else our own address as AWS sees it.

    An AWS on this machine, `endpoint`, sees us at the loopback address; any other is asked
    once, over HTTPS. Raises `AddressUnknown` where that fails.
    """
    if said:
        return str(ipaddress.ip_network(said, strict=False))
    if endpoint is not None and _here(endpoint):
        return "127.0.0.1/32"
    try:
        with urlopen(asked, timeout=PATIENCE) as answer:
            text = answer.read(100).decode("ascii").strip()
        return str(ipaddress.ip_network(ipaddress.ip_address(text)))
    except (URLError, OSError, ValueError) as error:
        raise AddressUnknown(
            details=f"{asked} did not tell it: {error}",
            remediation="Set PRISM_CALLER_CIDR to the range you come from, as 203.0.113.7/32",
        ) from error


def _here(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
