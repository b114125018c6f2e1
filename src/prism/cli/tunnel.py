"""`prism tunnel`: a workspace's ports at this computer's own, for as long as it runs."""

from __future__ import annotations

import errno
import socket

from prism.cli.link import daemon
from prism.cli.terminal import clean, say, show_json
from prism.cli.words import Usage, named
from prism.client.wire import query, quoted
from prism.errors import AlreadyExists

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

HOST = "127.0.0.1"


class LocalPortTaken(AlreadyExists, code="LOCAL_PORT_TAKEN"):
    """Something else listens on that port of this computer."""


def ends(word: str) -> tuple[int | None, int]:
    """The port here, if one is wished for, and the workspace's: `LOCAL:PORT` or `PORT`."""
    here, colon, there = word.rpartition(":")
    if colon and not here:
        raise _nonsense(word)
    return (_number(here, word) if colon else None), _number(there, word)


def _number(text: str, word: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536:
        return int(text)
    raise _nonsense(word)


def _nonsense(word: str) -> Usage:
    return Usage(f"no port: {word}", "Write PORT or LOCAL:PORT, each from 1 to 65535")


def _listen(wish: int | None, usual: int) -> socket.socket:
    """The port that is wished for, or the usual one, or where that is taken any other."""
    for port in (wish,) if wish else (usual, 0):
        try:
            return socket.create_server((HOST, port))
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
    raise LocalPortTaken(
        f"Port {wish} of this computer is taken",
        remediation="Choose another: LOCAL:PORT, such as 18888:8888",
    )


def _tunnel(asked: Namespace) -> None:
    wire, path = daemon(), f"/instances/{quoted(asked.name)}/ports"
    wanted = [ends(word) for word in asked.ports]
    found: list[tuple[int | None, Any]] = []
    for here, there in wanted:
        found += [(here, way) for way in wire.ask("GET", path + query(port=there))]
    if not wanted:
        found = [(None, way) for way in wire.ask("GET", path)]
    if not found:
        say(f"{asked.name} has no service that answers; name a port")
        return
    doors = [(_listen(here, way["port"]), way) for here, way in found]
    _show(asked, doors)
    import asyncio  # noqa: PLC0415  cold start: 60 ms that only a tunnel pays

    try:
        asyncio.run(_serve(doors))
    except KeyboardInterrupt:
        say("")


def _show(asked: Namespace, doors: list[tuple[socket.socket, Any]]) -> None:
    rows = [
        {
            "service": way["service"],
            "port": way["port"],
            "local": (local := door.getsockname()[1]),
            "url": f"http://{HOST}:{local}",
        }
        for door, way in doors
    ]
    if asked.json:
        return show_json(rows)
    for row in rows:
        what = clean(row["service"] or f"port {row['port']}")
        print(f"{row['url']}  is {what} of {clean(asked.name)}", flush=True)
    say("Open until you press Ctrl-C")
    return None


async def _serve(doors: list[tuple[socket.socket, Any]]) -> None:
    import asyncio  # noqa: PLC0415  cold start: it is there by now

    from prism.kit.pipe import forward  # noqa: PLC0415  cold start: it brings asyncio

    for door, way in doors:
        await forward(door, way["host"], way["target"])
    await asyncio.Event().wait()


def _words(made: ArgumentParser) -> None:
    named(made)
    made.add_argument(
        "ports",
        metavar="PORT",
        nargs="*",
        help="a port of the workspace, or LOCAL:PORT; default: those of its services",
    )


VERBS = {"tunnel": (_words, _tunnel)}
