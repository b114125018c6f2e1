"""From which address we come: machines let nobody else in."""

import http.client
import ipaddress
import socket
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, Request, build_opener

from prism.workspaces.ports import ProviderRefused

ASKED = "https://checkip.amazonaws.com"
PATIENCE = 5.0  # seconds


class AddressUnknown(ProviderRefused, code="CALLER_ADDRESS_UNKNOWN"):
    """Your address is not known, and machines are only opened to your address."""


def caller_cidr(said: str = "", endpoint: str | None = None, asked: str = ASKED) -> str:
    """The range to let in: what the setting says, else our own address as AWS sees it.

    An AWS on this machine, `endpoint`, sees us at the loopback address; any other is asked
    once, over HTTPS and IPv4, by which machines are dialled. Raises `AddressUnknown` where that
    fails.
    """
    if said:
        return str(ipaddress.ip_network(said, strict=False))
    if endpoint is not None and _here(endpoint):
        return "127.0.0.1/32"
    try:
        with BY_IPV4.open(asked, timeout=PATIENCE) as answer:
            text = answer.read(100).decode("ascii").strip()
        return str(ipaddress.ip_network(ipaddress.IPv4Address(text)))
    except (URLError, OSError, ValueError) as error:
        raise AddressUnknown(
            details=f"{asked} did not tell it: {error}",
            remediation="Set PRISM_CALLER_CIDR to the range you come from, as 203.0.113.7/32",
        ) from error


class _Plain(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = _dialled(self.host, self.port, self.timeout)


class _Secure(http.client.HTTPSConnection):
    def connect(self) -> None:
        plain = _dialled(self.host, self.port, self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)  # type: ignore[attr-defined]


class _PlainHandler(HTTPHandler):
    def http_open(self, req: Request) -> Any:
        return self.do_open(_Plain, req)


class _SecureHandler(HTTPSHandler):
    def https_open(self, req: Request) -> Any:
        return self.do_open(_Secure, req)


BY_IPV4 = build_opener(_PlainHandler, _SecureHandler)


def _dialled(host: str, port: int, timeout: Any) -> socket.socket:
    """A connection by IPv4: a host with both would be asked by IPv6, and tell that address."""
    [(*_, address), *_] = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)
    return socket.create_connection((str(address[0]), port), timeout)


def _here(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
