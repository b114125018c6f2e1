"""What trusted proxies say of a request: the address of its client, and whether it came by TLS.

Everything after this reads `client` and `scheme` of the scope, and no header of a proxy. The host
is never taken from such a header: a proxy that forwards `X-Forwarded-Host` of its clients would
let the page of an app name the daemon (docs/decisions/068).
"""

import re
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from prism.kit.gate import AsgiApp, Headers, Receive, Scope, Send

Network = IPv4Network | IPv6Network
ELEMENT = re.compile(r'\s*(?P<name>[a-zA-Z]+)=("(?P<quoted>[^"\\]*)"|(?P<plain>[^",;\s]*))\s*')
WITH_PORT = re.compile(r"\[(?P<six>[^\]]+)\](:\d+)?|(?P<four>[0-9.]+):\d+")
SECURE_SCHEMES = {"http": "https", "websocket": "wss"}
PLAIN_SCHEMES = {"http": "http", "websocket": "ws"}


class Reading(NamedTuple):
    """What the proxies say; None for what they do not."""

    client: str | None
    is_secure: bool | None


class TrustedProxies:
    """ASGI middleware: puts what trusted proxies say into the scope, and ignores all others."""

    def __init__(self, app: AsgiApp, networks: Collection[Network]) -> None:
        self._app, self._networks = app, networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with the right client and scheme."""
        client = scope.get("client")
        if scope["type"] in PLAIN_SCHEMES and client and is_trusted(client[0], self._networks):
            claims = reading(scope["headers"], self._networks)
            if claims.client is not None:
                scope["client"] = (claims.client, 0)
            if claims.is_secure is not None:
                schemes = SECURE_SCHEMES if claims.is_secure else PLAIN_SCHEMES
                scope["scheme"] = schemes[scope["type"]]
        await self._app(scope, receive, send)


def reading(headers: Headers, trusted: Collection[Network]) -> Reading:
    """What a trusted peer says in `X-Forwarded-For` and `-Proto`, else in `Forwarded`.

    Proxies that write the former pass on the latter as their clients sent it.
    """
    lists: dict[bytes, list[str]] = {}
    for name, value in headers:
        lists.setdefault(name.lower(), []).extend(value.decode("latin-1").split(","))
    hops, schemes = lists.get(b"x-forwarded-for", []), lists.get(b"x-forwarded-proto", [])
    if not hops and not schemes:
        elements = [_element(text) for text in lists.get(b"forwarded", [])]
        hops = [element.get("for", "") for element in elements]
        schemes = [element["proto"] for element in elements if "proto" in element]
    scheme = schemes[-1].strip().lower() if schemes else ""
    return Reading(_client(hops, trusted), {"https": True, "http": False}.get(scheme))


def _client(hops: Sequence[str], trusted: Collection[Network]) -> str | None:
    """The last address that is no trusted proxy's: what is before it can be invented."""
    client = None
    for hop in reversed(hops):
        if (address := _address(hop)) is None:
            return client
        client = str(address)
        if not is_trusted(client, trusted):
            return client
    return client


def is_trusted(address: str, trusted: Iterable[Network]) -> bool:
    """Whether the address is a trusted proxy's."""
    parsed = _address(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, also with a port; as IPv4 if it is an IPv4 address in IPv6's form."""
    text = text.strip()
    if match := WITH_PORT.fullmatch(text):
        text = match["six"] or match["four"]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _element(text: str) -> dict[str, str]:
    """The parameters of an element of `Forwarded`; none if it is not valid."""
    parameters: dict[str, str] = {}
    for part in filter(str.strip, text.split(";")):
        match = ELEMENT.fullmatch(part)
        if match is None or match["name"].lower() in parameters:
            return {}
        parameters[match["name"].lower()] = match["quoted"] or match["plain"] or ""
    return parameters
