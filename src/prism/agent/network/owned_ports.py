"""Which sockets listen on a loopback port, and which processes hold them."""

import contextlib
import os
import re
from collections.abc import Iterable

V4, V6 = "127.0.0.1", "::1"
# Local addresses as the kernel writes them, by the address that reaches them.
LISTENING_ADDRESSES = {
    V4: ("0100007F", "00000000", "0" * 32, "0000000000000000FFFF00000100007F"),
    V6: ("00000000000000000000000001000000", "0" * 32),
}
LISTENS = r":\s({}):{:04X}\s0+:0000\s0A\s(?:\S+\s+){{3}}\s*(\d+)\s+\d+\s+(\d+)\s"
PROC_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def kernel_tables() -> str:
    """The tables of the sockets of our own network."""
    texts = []
    for table in PROC_TABLES:
        with contextlib.suppress(FileNotFoundError), open(table) as file:
            texts.append(file.read())
    return "".join(texts)


def listening_inodes(tables: str, locals_: "tuple[str, ...]", port: int) -> "dict[str, int]":
    """The sockets that listen on a port, on one of these addresses: the uid of each inode."""
    row = re.compile(LISTENS.format("|".join(locals_), port))
    return {match[3]: int(match[2]) for match in row.finditer(tables)}


def held_sockets(pids: Iterable[int], inodes: "set[str]") -> "set[str]":
    """The sockets among these that one of these processes holds."""
    matching: set[str] = set()
    for pid in pids:
        with contextlib.suppress(OSError):  # it has just ended
            for number in os.listdir(held := f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):  # it has just closed it
                    link = os.readlink(f"{held}/{number}")
                    if link.startswith("socket:[") and link[8:-1] in inodes:
                        matching.add(link[8:-1])
        if matching >= inodes:
            break
    return matching
