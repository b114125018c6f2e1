"""The servers on this computer that the user's settings of packages name: indexes and proxies.

The installer has a network of its own, in which this computer's loopback is not there. Ports that
the user has named there are forwarded.
"""

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from prism.agent.network.reachable_addresses import Address

PROXIES = {"http_proxy", "https_proxy", "all_proxy"}
SERVER_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'<>,]+", re.IGNORECASE)
PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080, "socks4": 1080}
LOCAL_NAMES = re.compile(r"localhost|.+\.localhost|ip6-localhost")
LOOPBACK_ADDRESS = ip_address("127.0.0.1")
HOSTS = Path("/etc/hosts")


class NamedServers(NamedTuple):
    """The named servers on this computer."""

    ports: list[int]
    """Those on its loopback."""
    uses_other_addresses: bool
    """Whether there is one at another of its addresses."""


def servers_on_this_computer(
    variables: Mapping[str, str],
    settings: str,
    known_names: Mapping[str, Iterable[Address]],
    computer: Iterable[Address],
) -> NamedServers:
    """The servers that variables, and the content of `uv.toml`, name on this computer."""
    own, ports, uses_others = set(computer), set[int](), False
    for host, port in _endpoints(variables, settings):
        addresses = set(_addresses(host, known_names))
        if any(address.is_loopback for address in addresses):
            ports.add(port)
        elif addresses & own:
            uses_others = True
    return NamedServers(sorted(ports), uses_others)


def _endpoints(variables: Mapping[str, str], settings: str) -> Iterable[tuple[str, int]]:
    texts = [value for name, value in variables.items() if name.startswith("UV_")]
    proxies = [value for name, value in variables.items() if name.lower() in PROXIES]
    texts += [value if "://" in value else f"http://{value}" for value in proxies if value]
    for text in (*texts, settings):
        for address in SERVER_ADDRESS.findall(text):
            with suppress(ValueError):
                parts = urlsplit(address)
                port = parts.port or PORTS.get(parts.scheme.lower())
                if parts.hostname and port:
                    yield parts.hostname, port


def _addresses(host: str, known_names: Mapping[str, Iterable[Address]]) -> Iterable[Address]:
    with suppress(ValueError):
        return [ip_address(host)]
    return known_names.get(host) or ([LOOPBACK_ADDRESS] if LOCAL_NAMES.fullmatch(host) else [])


def names_in(hosts: str) -> dict[str, list[Address]]:
    """The names in the text of `/etc/hosts`."""
    names: dict[str, list[Address]] = {}
    for line in hosts.splitlines():
        address, *words = line.partition("#")[0].split() or [""]
        with suppress(ValueError):
            for word in words:
                names.setdefault(word.lower(), []).append(ip_address(address))
    return names


def names_of_this_computer() -> dict[str, list[Address]]:
    """The names in this computer's `/etc/hosts`."""
    return names_in(HOSTS.read_text(errors="replace")) if os.access(HOSTS, os.R_OK) else {}
