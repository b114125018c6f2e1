"""Requests to addresses that people choose, which must not reach what only the daemon can reach.

A name is resolved once, every address is checked, and the connection is made to a checked address:
a name that means another address a moment later changes nothing. Redirects are not followed, the
body of an answer is not read, and a request ends after some seconds, however slowly somebody
answers.
"""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from prism.certificates import client_context
from prism.notices.ports import WebhookFailed, WebhookRefused

WEBHOOK_TIMEOUT = 10.0  # seconds for a whole request, with the name's look-up
NAT64 = IPv6Network("64:ff9b::/96")
CLOUD_SERVICES = {ip_address("168.63.129.16")}  # Azure's, which looks like a public address
Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[str]]


def addresses_of(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system resolves it."""
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


class GuardedTransport:
    """Implements `notices.ports.WebhookTransport`; `allowed` may be reached though not public."""

    def __init__(
        self,
        allowed: Collection[Network] = (),
        *,
        context: ssl.SSLContext | None = None,
        resolve: Resolve = addresses_of,
        timeout: float = WEBHOOK_TIMEOUT,
    ) -> None:
        self._allowed, self._resolve, self._timeout = tuple(allowed), resolve, timeout
        self._context = context

    def check(self, url: str) -> None:
        """Raise `WebhookRefused` if an address can never be used."""
        parts = self._parts(url)
        with suppress(ValueError):  # a name: its addresses are checked at each connection
            self._require_allowed(ip_address(parts.hostname or ""), parts)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Send a request; raises `WebhookFailed` or `WebhookRefused`."""
        parts, end = self._parts(url), time.monotonic() + self._timeout
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            connected = self._connect(parts, host, port, end)
            with connected, _ended_at(connected, end):
                connection = _connection(parts, host, port, connected)
                path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
                connection.request("POST", path, body, {**headers, "Connection": "close"})
                with connection.getresponse() as response:
                    status = response.status
        except (OSError, HTTPException, ValueError) as error:
            raise WebhookFailed(details=_reason(host, error, time.monotonic() >= end)) from error
        if 300 <= status < 400:
            raise WebhookFailed(details=f"{host} answered {status}; redirects are not followed")
        if not 200 <= status < 300:
            raise WebhookFailed(details=f"{host} answered {status}")

    def _parts(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            is_valid = bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_valid = False
        if not is_valid or not url.isascii() or not url.isprintable() or " " in url:
            raise WebhookRefused(
                "The address of a webhook must be like https://example.org/hook",
                remediation="Write it with https://, in ASCII and without blanks",
            )
        if parts.scheme != "https" and not (parts.scheme == "http" and self._allowed):
            raise WebhookRefused("The address of a webhook must begin with https://")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise WebhookRefused("The address must have no user, password or fragment")
        return parts

    def _require_allowed(self, address: Address, parts: SplitResult) -> None:
        is_allowed = any(address in network for network in self._allowed)
        if not is_allowed and not is_public(address):
            raise WebhookRefused(
                f"{parts.hostname} is not a public address",
                details="the daemon reaches no loopback, private or link-local address for "
                "webhooks, unless its operator allows the network in PRISM_WEBHOOK_NETWORKS",
                remediation="Use a public address, or ask the operator",
            )
        if not is_allowed and parts.scheme != "https":
            raise WebhookRefused("Without TLS, only networks that the operator allows are reached")

    def _connect(self, parts: SplitResult, host: str, port: int, end: float) -> socket.socket:
        """A connection to an address that was checked; of refused ones none is tried.

        A name that has none to try and one that nobody knows are told apart by nothing: else a
        person could find out the names of a network that only the daemon sees.
        """
        problem: OSError | None = None
        for address in self._allowed_addresses(parts, host, port, end):
            try:
                connected = socket.create_connection((str(address), port), _left(end))
            except OSError as error:
                problem = error
                continue
            return connected if parts.scheme == "http" else self._wrapped(connected, host, end)
        without_tls = "" if parts.scheme == "https" else " without TLS"
        raise problem or WebhookRefused(
            f"{host} has no address that webhooks may reach{without_tls}",
            details="its name is not known, or means an address that is not public",
            remediation="Use a public address, or ask the operator (PRISM_WEBHOOK_NETWORKS)",
        )

    def _allowed_addresses(
        self, parts: SplitResult, host: str, port: int, end: float
    ) -> Iterator[Address]:
        try:
            addresses = [ip_address(text) for text in self._resolved(host, port, end)]
        except (socket.gaierror, UnicodeError):
            return
        for address in addresses:
            with suppress(WebhookRefused):
                self._require_allowed(address, parts)
                yield address

    def _resolved(self, host: str, port: int, end: float) -> Sequence[str]:
        """The addresses of a name; in a thread, since a look-up cannot be given a time limit."""
        result: list[Sequence[str] | BaseException] = []

        def resolve() -> None:
            try:
                result.append(self._resolve(host, port))
            except (OSError, ValueError) as error:
                result.append(error)

        thread = threading.Thread(target=resolve, daemon=True, name="webhook-name")
        thread.start()
        thread.join(_left(end))
        if not result:
            raise TimeoutError
        if isinstance(answer := result[0], BaseException):
            raise answer
        return answer

    def _wrapped(self, connected: socket.socket, host: str, end: float) -> socket.socket:
        context = self._context or client_context(os.environ)
        with ExitStack() as stack:
            stack.enter_context(connected)
            wrapped = stack.enter_context(
                context.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
            )
            with _ended_at(wrapped, end):
                wrapped.do_handshake()
            stack.pop_all()
        return wrapped


def _connection(
    parts: SplitResult, host: str, port: int, connected: socket.socket
) -> HTTPConnection:
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(host, port)
    connection.sock = connected
    return connection


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet, also if it contains another one."""
    if isinstance(address, IPv6Address):
        teredo = address.teredo
        inner = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
        if address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.scope_id is not None or address.is_site_local:
            return False
    is_special = address.is_multicast or address.is_reserved or address in CLOUD_SERVICES
    return address.is_global and not is_special


def _left(end: float) -> float:
    """The seconds until `end`, which raises if there are none."""
    if (left := end - time.monotonic()) <= 0:
        raise TimeoutError
    return left


@contextmanager
def _ended_at(connected: socket.socket, end: float) -> Iterator[None]:
    """End the connection at that time, even if some bytes come again and again."""
    connected.settimeout(_left(end))
    timer = threading.Timer(_left(end), _shut, [connected])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(connected: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)  # TLS would say goodbye first


def _reason(host: str, error: Exception, is_late: bool) -> str:
    """Why a request failed; the words of an answer are not repeated."""
    if is_late or isinstance(error, TimeoutError):
        return f"{host} did not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{host}: its certificate is not trusted"
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return f"{host}: {error.strerror}"
    return f"{host}: {type(error).__name__}"
