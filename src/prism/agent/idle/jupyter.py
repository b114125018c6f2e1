"""Asks a Jupyter server about its kernels and open notebooks.

It uses the REST API, with both questions over one connection, and barely waits: each step is a
`yield`. The questions do not count as activity, because Jupyter is told not to count them.
"""

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from prism.agent.idle.verdict import Touch
from prism.agent.machine.mounts import is_a_volume
from prism.agent.network.ports import HOST, connects
from prism.agent.system.safe_paths import Directory

JUPYTER_TIMEOUT = 5.0
MOMENT = 0.02  # seconds; waiting so long for an answer costs less than a round of the supervisor
MAX_JUPYTER_BYTES = 1 << 20
MAX_SESSIONS, MAX_TEXT_LENGTH = 100, 200  # kernels that are read, and characters of a name
LENGTH = re.compile(rb"[0-9]{1,7}")
RESTING = {"idle", "dead", "terminating"}
Asking = Generator[None, None, list[Any]]


class Kernels:
    """The result: what is in progress, when a person last did something, and what is unknown."""

    def __init__(self) -> None:
        self.work: list[str] = []
        self.touches: list[Touch] = []
        self.doubts: list[str] = []


def kernels(
    port: int,
    token: str,
    home: Path,
    is_ours: Callable[[int], bool] = lambda port: True,
    tcp_socket: Callable[[], socket.socket] = socket.socket,
) -> Generator[None, None, Kernels]:
    """Ask one server about its kernels and open notebooks.

    `is_ours` returns whether the machine's own programs listen on a port; no other program gets
    the token. `tcp_socket` makes a socket of the machine's network.
    """
    state_of_kernels = Kernels()
    paths = ("/api/kernels", "/api/sessions")
    running, opened = yield from _get_all(port, paths, token, is_ours, tcp_socket)
    if not isinstance(running, list) or not isinstance(opened, list):
        state_of_kernels.doubts.append("Jupyter does not say what its kernels do")
        return state_of_kernels
    names = {
        _text(_field(session, "kernel"), "id"): _text(session, "path")
        for session in opened[:MAX_SESSIONS]
    }
    for kernel in running[:MAX_SESSIONS]:
        name = _clean(names.get(_text(kernel, "id")) or _text(kernel, "name"))
        if (state := _text(kernel, "execution_state")) not in RESTING:
            state_of_kernels.work.append(f"the kernel of {name} is {_clean(state)}")
        elif at := _timestamp(_field(kernel, "last_activity")):
            state_of_kernels.touches.append((at, f"a cell of {name} was run"))
    for path in filter(None, names.values()):
        with contextlib.suppress(OSError, ValueError):
            state_of_kernels.touches.append((_saved_at(home, path), f"{_clean(path)} was saved"))
    return state_of_kernels


def _saved_at(home: Path, path: str) -> float:
    """When a file of a home was written; the path comes from the server and is not trusted."""
    with Directory.at(home) as folder:
        top, name, rest = (*path.split("/", 2), "", "")[:3]
        link = folder.readlink(f"{top}/{name}") if top == "volumes" and rest else None
        if link is None or not is_a_volume(link, str(home.parents[2] / "storage" / "volumes")):
            return folder.stat(path).st_mtime
    with Directory.at(link) as volume:
        return volume.stat(rest).st_mtime


def _get_all(
    port: int,
    paths: Sequence[str],
    token: str,
    is_ours: Callable[[int], bool],
    tcp_socket: Callable[[], socket.socket],
) -> Asking:
    """The answer of each GET; None if it is late or not JSON."""
    until = time.monotonic() + JUPYTER_TIMEOUT
    with tcp_socket() as client:
        client.settimeout(MOMENT)
        try:
            if not (yield from connects(client, port, until)) or not is_ours(port):
                return [None] * len(paths)
            client.send(_requests(port, paths, token))
            received = yield from _until_closed(client, until)
        except OSError:
            return [None] * len(paths)
    bodies = []
    for _ in paths:
        body, received = _split_first(received)
        bodies.append(body)
    return bodies


def _requests(port: int, paths: Sequence[str], token: str) -> bytes:
    last = len(paths) - 1
    requests = (
        f"GET {path}?no_track_activity=1 HTTP/1.1\r\nHost: {HOST}:{port}\r\n"
        f"Authorization: token {token}\r\n"
        f"Connection: {'close' if number == last else 'keep-alive'}\r\n\r\n"
        for number, path in enumerate(paths)
    )
    return "".join(requests).encode()


def _until_closed(client: socket.socket, until: float) -> Generator[None, None, bytes]:
    received = b""
    while time.monotonic() < until and len(received) < MAX_JUPYTER_BYTES:
        try:
            chunk = client.recv(65536)  # waits for at most `MOMENT`
        except socket.timeout:  # noqa: UP041  until Python 3.10 it was no `TimeoutError`
            yield
            continue
        if not chunk:
            return received
        received += chunk
    return b""


def _split_first(received: bytes) -> tuple[Any, bytes]:
    """The decoded body of the first answer, and the bytes of the others."""
    head, _, rest = received.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    lengths = [line[15:].strip() for line in lines if line.startswith(b"content-length:")]
    length = int(lengths[0]) if lengths and LENGTH.fullmatch(lengths[0]) else len(rest)
    if b" 200 " not in lines[0] + b" ":
        return None, rest[length:]
    try:
        return json.loads(rest[:length]), rest[length:]
    except (ValueError, RecursionError):  # the server may send anything
        return None, rest[length:]


def _field(thing: Any, name: str) -> Any:
    """A field of an untrusted value, if it has one of that name."""
    return thing.get(name) if isinstance(thing, dict) else None


def _text(thing: Any, name: str) -> str:
    """A field that is a text; empty if it is anything else."""
    return text if isinstance(text := _field(thing, name), str) else ""


def _clean(text: str) -> str:
    """A name from a server, made short and printable."""
    return "".join(
        character if character.isprintable() else "?" for character in text[:MAX_TEXT_LENGTH]
    )


def _timestamp(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
