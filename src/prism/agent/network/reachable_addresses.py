"""Which addresses outside of its network a workspace may reach.

This is the decision only; `packet_filter.py` gives it to the kernel.
"""

import re
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import NamedTuple, Union

Network = Union[IPv4Network, IPv6Network]  # noqa: UP007  `|` fails on Python 3.9
Address = Union[IPv4Address, IPv6Address]  # noqa: UP007
ISOLATED, INTERNET, LAN, HOST_MODE = "isolated", "internet", "lan", "host"
STRICT = (ISOLATED, INTERNET)
"""The modes in which nothing starts without its own network and a filter."""
OLDER_MODES = {"own": LAN, "shared": HOST_MODE}
"""The values that `PRISM_WORKSPACE_NETWORK` had before."""
DNS_PORTS = (53, 853)
# Link-local addresses, the metadata services of clouds at other addresses, and forms of IPv4
# addresses in IPv6, which a forwarder could take for the IPv4 address itself.
NEVER_REACHED = (
    *("169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32"),
    *("127.0.0.0/8", "0.0.0.0/8", "fe80::/10", "fd00:ec2::/32", "fd20:ce::/32"),
    *("::/96", "::ffff:0:0/96", "64:ff9b::a9fe:0/112", "64:ff9b::7f00:0/104"),
    *("64:ff9b::a83f:8110/128", "64:ff9b::6464:64c8/128", "2002:a9fe::/32", "2002:7f00::/24"),
)
PRIVATE = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15"),
    *("fc00::/7", "fec0::/10", "64:ff9b::a00:0/104", "64:ff9b::ac10:0/108"),
    *("64:ff9b::c0a8:0/112", "64:ff9b::6440:0/106"),
)
RANGE = r"([0-9a-fA-F:.]+(?:/\d{1,3})?)"
DESTINATION = re.compile(rf"\[{RANGE}\](?::(\d{{1,5}}))?|([0-9.]+(?:/\d\d?)?):(\d{{1,5}})|{RANGE}")
EVERYTHING = ("0.0.0.0/0", "::/0")
# Numbers of Linux's rtnetlink.
RTM_GETADDR, NLM_F_REQUEST_DUMP, IFA_ADDRESS, IFA_LOCAL = 22, 0x301, 1, 2
NLMSG_ERROR, NLMSG_DONE = 2, 3
NETLINK_HEADER, ATTRIBUTE, ADDRESS_HEAD = struct.Struct("=IHHII"), struct.Struct("=HH"), 8
ANSWER_SECONDS = 5.0


class Destination(NamedTuple):
    """Some addresses, at one port or at all."""

    network: Network
    port: int | None = None


class Reachable(NamedTuple):
    """What a workspace may reach: what is `allowed`, and all that is not `refused`."""

    allowed: tuple[Destination, ...]
    refused: tuple[Network, ...]


def mode_of(value: str) -> str:
    """The mode that a value of `PRISM_WORKSPACE_NETWORK` means; empty is the default."""
    return OLDER_MODES.get(value, value) or LAN


def destinations(text: str) -> tuple[Destination, ...]:
    """The destinations in `ADDRESS[/BITS][:PORT],…`; raises `ValueError` for anything else."""
    return tuple(_destination(word) for word in re.split(r"[,\s]+", text) if word)


def _destination(word: str) -> Destination:
    if (parts := DESTINATION.fullmatch(word)) is None:
        raise ValueError(word)
    port = next((int(text) for text in (parts[2], parts[4]) if text), None)
    if port is not None and not 0 < port < 65536:
        raise ValueError(word)
    return Destination(ip_network(parts[1] or parts[3] or parts[5]), port)


def reachable(
    mode: str,
    *,
    computer: Iterable[Address],
    resolvers: Iterable[Address],
    allowed: Iterable[Destination] = (),
) -> Reachable:
    """What a workspace reaches in a mode; `computer` has all addresses of this computer."""
    names = () if mode == ISOLATED else resolvers
    exceptions = [
        *(Destination(ip_network(address), port) for address in names for port in DNS_PORTS),
        *allowed,
    ]
    if mode == ISOLATED:
        refused = [*map(ip_network, EVERYTHING)]
    else:
        ranges = NEVER_REACHED + (PRIVATE if mode == INTERNET else ())
        refused = [*map(ip_network, ranges)]
        refused += [
            ip_network(address)
            for address in dict.fromkeys(computer)
            if not any(address in network for network in refused)
        ]
    return Reachable(tuple(exceptions), tuple(refused))


def resolvers_in(text: str) -> list[Address]:
    """The name servers in a `resolv.conf`."""
    addresses = []
    for line in text.splitlines():
        if named := re.match(r"\s*nameserver\s+([^\s%]+)", line):
            with suppress(ValueError):
                addresses.append(ip_address(named[1]))
    return addresses


def addresses_of_this_computer() -> list[Address]:
    """The addresses of all interfaces, as the kernel lists them."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(ANSWER_SECONDS)
        kernel.send(
            NETLINK_HEADER.pack(NETLINK_HEADER.size + 8, RTM_GETADDR, NLM_F_REQUEST_DUMP, 1, 0)
            + bytes(8)
        )
        addresses: list[Address] = []
        while True:
            packet, at = kernel.recv(1 << 18), 0
            while at < len(packet):
                length, kind, *_ = NETLINK_HEADER.unpack_from(packet, at)
                if kind == NLMSG_DONE:
                    return addresses
                if kind == NLMSG_ERROR:
                    raise OSError("the kernel does not list the addresses of this computer")
                addresses += _addresses(
                    packet[at + NETLINK_HEADER.size + ADDRESS_HEAD : at + length]
                )
                at += (length + 3) & ~3


def _addresses(attributes: bytes) -> list[Address]:
    addresses, at = [], 0
    while at + ATTRIBUTE.size <= len(attributes):
        length, kind = ATTRIBUTE.unpack_from(attributes, at)
        value = attributes[at + ATTRIBUTE.size : at + length]
        # Of a point-to-point interface, `IFA_ADDRESS` is the other end.
        if kind == IFA_LOCAL:
            return [ip_address(value)]
        if kind == IFA_ADDRESS:
            addresses = [ip_address(value)]
        at += (length + 3) & ~3 or 4
    return addresses
