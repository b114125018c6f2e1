"""Our own public address: machines accept connections from no other."""

import ipaddress
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, Request, build_opener

from prism.workspaces.ports import ProviderRefused

ASKED = "https://checkip.amazonaws.com"
REQUEST_TIMEOUT = 5.0  # seconds
# The source of connections by IPv4: over IPv6 the service would return our IPv6 address.
ANY_IPV4 = ("0.0.0.0", 0)


class AddressUnknown(ProviderRefused, code="CALLER_ADDRESS_UNKNOWN"):
    """Your address is not known, and machines are only opened to your address."""


def caller_cidr(configured: str = "", endpoint: str | None = None, url: str = ASKED) -> str:
    """The range that groups admit: the `configured` one, else our public address.

    It is loopback if an AWS double runs at `endpoint` on this machine. Otherwise `url` returns it,
    over IPv4, as machines have IPv4 addresses only. Raises `AddressUnknown`.
    """
    if configured:
        return str(ipaddress.ip_network(configured, strict=False))
    if endpoint is not None and _is_loopback(endpoint):
        return "127.0.0.1/32"
    try:
        with BY_IPV4.open(url, timeout=REQUEST_TIMEOUT) as answer:
            text = answer.read(100).decode("ascii").strip()
        return str(ipaddress.ip_network(ipaddress.IPv4Address(text)))
    except (URLError, OSError, ValueError) as error:
        raise AddressUnknown(
            details=f"{url} did not return it: {error}",
            remediation="Set PRISM_CALLER_CIDR to your address range, such as 203.0.113.7/32",
        ) from error


class _Ipv4HttpHandler(HTTPHandler):
    def http_open(self, req: Request) -> Any:
        return self.do_open(HTTPConnection, req, source_address=ANY_IPV4)


class _Ipv4HttpsHandler(HTTPSHandler):
    def https_open(self, req: Request) -> Any:
        return self.do_open(HTTPSConnection, req, source_address=ANY_IPV4)


BY_IPV4 = build_opener(_Ipv4HttpHandler, _Ipv4HttpsHandler)


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
