"""Connects to a remote daemon through the HTTP proxy that `HTTPS_PROXY` names.

Only TLS goes through a proxy, which then passes on bytes that it cannot read: without TLS it would
read the token. It is imported only where there is a proxy.
"""

from __future__ import annotations

import ipaddress
import socket
from base64 import b64encode
from urllib.parse import unquote, urlsplit

from prism.annotations import Mapping
from prism.client.errors import ProxyFailed

MAX_HEAD_BYTES = 65536
VARIABLES = ("https_proxy", "all_proxy", "no_proxy")


def proxy_of(environ: Mapping[str, str], host: str) -> str | None:
    """The address of the proxy for a host; None if it is to be reached directly.

    A computer's own addresses never go through a proxy, nor do hosts that `NO_PROXY` names. Other
    proxies, such as SOCKS, are not used.
    """
    values = {name: environ.get(name) or environ.get(name.upper()) for name in VARIABLES}
    url = values["https_proxy"] or values["all_proxy"]
    if not url or _is_loopback(host) or _is_spared(host, values["no_proxy"] or ""):
        return None
    url = url if "://" in url else f"http://{url}"
    return url if urlsplit(url).scheme == "http" else None


def tunnel(proxy: str, host: str, port: int, timeout: float) -> socket.socket:
    """A connection to a host through a proxy."""
    parts = urlsplit(proxy)
    address = (parts.hostname or "", parts.port or 80)
    name = f"the proxy {address[0]}:{address[1]}"
    try:
        connection = socket.create_connection(address, timeout)
    except OSError as error:
        raise ProxyFailed(f"{name} cannot be reached: {error.strerror or error}") from error
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {b64encode(login.encode()).decode()}")
    try:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = _head(connection).split("\r\n")[0]
        _, status, *reason = answer.split(None, 2)
        if status[:1] != "2":
            raise ProxyFailed(f"{name} refused the connection: {' '.join([status, *reason])}")
    except (OSError, ValueError) as error:
        connection.close()
        if isinstance(error, ProxyFailed):
            raise
        raise ProxyFailed(f"{name} did not answer as a proxy does: {error}") from error
    return connection


def _head(connection: socket.socket) -> str:
    """What the proxy answers, and nothing of what follows."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (byte := connection.recv(1)) or len(head) > MAX_HEAD_BYTES:
            raise ValueError("its answer has no end")
        head += byte
    return head.decode("latin-1")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_spared(host: str, spared: str) -> bool:
    """Whether `NO_PROXY` names the host, a domain above it, a network around it, or `*`."""
    for entry in filter(None, (part.strip().lower() for part in spared.split(","))):
        domain = entry.removeprefix("*").removeprefix(".")
        if entry == "*" or host == domain or host.endswith(f".{domain}"):
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False
