"""Refuses packets of a network namespace to some addresses, by Linux's nf_tables.

Routes alone would not do: a program may bind its socket to an interface (`SO_BINDTODEVICE` needs
no privilege), and the kernel then sends to any address, whatever its routes say. The filter sees
each packet. Changing it needs `CAP_NET_ADMIN` in the namespace, which no workspace has.

The rules are written as the kernel's messages, because `nft` is rarely installed.
"""

import os
import socket
import struct
from collections.abc import Iterable, Iterator

from prism.agent.network.reachable_addresses import Destination, Network, Reachable

NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES = 12, 10
BATCH_BEGIN, BATCH_END = 0x10, 0x11
NEW_TABLE, NEW_CHAIN, NEW_RULE = 0, 3, 6
NLM_F_REQUEST, ACK, CREATE, APPEND = 0x1, 0x4, 0x400, 0x800
NESTED, NLMSG_ERROR = 0x8000, 2
IPV4, IPV6 = 2, 10  # NFPROTO_IPV4, NFPROTO_IPV6
LOCAL_OUT, NF_ACCEPT, REGISTER, VERDICT = 3, 1, 1, 0
NETWORK_HEADER, TRANSPORT_HEADER = 1, 2
EQUAL, CMP_LTE, CMP_GTE = 0, 3, 5  # NFT_CMP_EQ, _LTE, _GTE
META_OUTPUT_INTERFACE, META_PROTOCOL = 5, 16
LOOPBACK_INDEX = 1  # in every network namespace
ICMPV6, ROUTING_HEADER = 58, 43
NEIGHBOR_DISCOVERY = (133, 136)  # types of ICMPv6: solicitations and advertisements
PROHIBITED = {IPV4: 13, IPV6: 1}  # codes of "destination unreachable"
DESTINATION_OFFSET, NEXT_HEADER_OFFSET, PORT_OFFSET = {IPV4: 16, IPV6: 24}, 6, 2
TABLE_NAME = "prism"
NETLINK_HEADER = struct.Struct("=IHHII")
ANSWER_SECONDS = 5.0


def install(messages: bytes) -> None:
    """Install a filter in the network namespace of this process; raises `OSError`."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        kernel.settimeout(ANSWER_SECONDS)
        kernel.send(messages)
        missing = _count_asked(messages)
        while missing:
            packet, at = kernel.recv(1 << 18), 0
            while at < len(packet):
                length, kind, *_ = NETLINK_HEADER.unpack_from(packet, at)
                if kind == NLMSG_ERROR:
                    (number,) = struct.unpack_from("=i", packet, at + NETLINK_HEADER.size)
                    if number:
                        reason = os.strerror(-number)
                        raise OSError(-number, f"the kernel refuses a packet filter: {reason}")
                    missing -= 1
                at += (length + 3) & ~3


def _count_asked(messages: bytes) -> int:
    count, at = 0, 0
    while at < len(messages):
        length, _, flags, *_ = NETLINK_HEADER.unpack_from(messages, at)
        count += bool(flags & ACK)
        at += length
    return count


def filter_messages(reachable: Reachable, *, has_ipv6: bool = True) -> bytes:
    """The messages that make the filter, in one transaction."""
    body = [_batch(BATCH_BEGIN)]
    for family, version in ((IPV4, 4), (IPV6, 6)) if has_ipv6 else ((IPV4, 4),):
        body += [_new_table(family), _new_chain(family)]
        allowed = [to for to in reachable.allowed if to.network.version == version]
        refused = [to for to in reachable.refused if to.version == version]
        body += [_new_rule(family, rule) for rule in _rules(family, allowed, refused)]
    return b"".join([*body, _batch(BATCH_END)])


def _rules(
    family: int, allowed: Iterable[Destination], refused: Iterable[Network]
) -> Iterator[list[bytes]]:
    yield [
        _meta(META_OUTPUT_INTERFACE),
        _compare(struct.pack("=I", LOOPBACK_INDEX)),
        _accept(),
    ]
    if family == IPV6:
        # The kernel itself sends these to link-local addresses, such as that of the router.
        first, last = NEIGHBOR_DISCOVERY
        kind = _payload(TRANSPORT_HEADER, 0, 1)
        between = [_compare(bytes([first]), CMP_GTE), _compare(bytes([last]), CMP_LTE)]
        yield [_meta(META_PROTOCOL), _compare(bytes([ICMPV6])), kind, *between, _accept()]
        # Its list of addresses would leave the decision about the last one to the forwarder.
        next_header = _payload(NETWORK_HEADER, NEXT_HEADER_OFFSET, 1)
        yield [next_header, _compare(bytes([ROUTING_HEADER])), _reject(family)]
    for network, port in allowed:
        at_port = []
        if port is not None:
            at_port = [_payload(TRANSPORT_HEADER, PORT_OFFSET, 2)]
            at_port += [_compare(struct.pack("!H", port))]
        yield [*_to(family, network), *at_port, _accept()]
    for network in refused:
        yield [*_to(family, network), _reject(family)]


def _to(family: int, network: Network) -> list[bytes]:
    """The expressions that match a destination."""
    mask, value = network.netmask.packed, network.network_address.packed
    load = _payload(NETWORK_HEADER, DESTINATION_OFFSET[family], len(value))
    if not network.prefixlen:
        return []
    if all(byte == 0xFF for byte in mask):
        return [load, _compare(value)]
    masked = _expression(
        "bitwise",
        _number(1, REGISTER)
        + _number(2, REGISTER)
        + _number(3, len(mask))
        + _nested(4, _attribute(1, mask))
        + _nested(5, _attribute(1, bytes(len(mask)))),
    )
    return [load, masked, _compare(value)]


def _payload(base: int, offset: int, length: int) -> bytes:
    numbers = (REGISTER, base, offset, length)
    fields = b"".join(_number(kind, number) for kind, number in enumerate(numbers, 1))
    return _expression("payload", fields)


def _meta(key: int) -> bytes:
    return _expression("meta", _number(1, REGISTER) + _number(2, key))


def _compare(value: bytes, operator: int = EQUAL) -> bytes:
    data = _nested(3, _attribute(1, value))
    return _expression("cmp", _number(1, REGISTER) + _number(2, operator) + data)


def _accept() -> bytes:
    code = _nested(2, _number(1, NF_ACCEPT))
    return _expression("immediate", _number(1, VERDICT) + _nested(2, code))


def _reject(family: int) -> bytes:
    return _expression("reject", _number(1, 0) + _attribute(2, bytes([PROHIBITED[family]])))


def _expression(name: str, data: bytes) -> bytes:
    return _nested(1, _text(1, name) + _nested(2, data))


def _batch(kind: int) -> bytes:
    content = struct.pack("=BBH", 0, 0, socket.htons(NFNL_SUBSYS_NFTABLES))
    return (
        NETLINK_HEADER.pack(NETLINK_HEADER.size + len(content), kind, NLM_F_REQUEST, 0, 0)
        + content
    )


def _message(kind: int, family: int, flags: int, content: bytes) -> bytes:
    content = struct.pack("=BBH", family, 0, 0) + content
    kind |= NFNL_SUBSYS_NFTABLES << 8
    return (
        NETLINK_HEADER.pack(
            NETLINK_HEADER.size + len(content), kind, NLM_F_REQUEST | ACK | flags, 0, 0
        )
        + content
    )


def _new_table(family: int) -> bytes:
    return _message(NEW_TABLE, family, CREATE, _text(1, TABLE_NAME))


def _new_chain(family: int) -> bytes:
    hook = _nested(4, _number(1, LOCAL_OUT) + _number(2, 0))
    names = _text(1, TABLE_NAME) + _text(3, "output")
    policy = _number(5, NF_ACCEPT) + _text(7, "filter")
    return _message(NEW_CHAIN, family, CREATE, names + hook + policy)


def _new_rule(family: int, expressions: Iterable[bytes]) -> bytes:
    content = _text(1, TABLE_NAME) + _text(2, "output") + _nested(4, b"".join(expressions))
    return _message(NEW_RULE, family, CREATE | APPEND, content)


def _attribute(kind: int, value: bytes) -> bytes:
    padded = value.ljust((len(value) + 3) & ~3, b"\0")
    return struct.pack("=HH", 4 + len(value), kind) + padded


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("!I", value))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _nested(kind: int, content: bytes) -> bytes:
    return _attribute(kind | NESTED, content)
