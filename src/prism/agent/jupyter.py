"""What a Jupyter server says of its kernels, and of the notebooks that are open.

Asked over its REST API, hardly ever waiting: each step of a question is a `yield`. Asking is no
activity: Jupyter is told not to count it.
"""

import contextlib
import errno
import json
import os
import select
import socket
import time
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import Any

from prism.agent.idle import Touch

HOST = "127.0.0.1"
PATIENCE = 5.0
MOMENT = 0.02  # a round of the supervisor's costs more than to wait so long for an answer
LARGEST = 1 << 20
AGAIN = {errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN, errno.EINTR}
RESTING = {"idle", "dead", "terminating"}
Asking = Generator[None, None, Any]


class Kernels:
    """What was learned: what is at work, when somebody last did something, and doubts."""

    def __init__(self) -> None:
        self.work: list[str] = []
        self.touches: list[Touch] = []
        self.doubts: list[str] = []


def kernels(port: int, token: str, home: Path) -> Generator[None, None, Kernels]:
    """Ask one server about its kernels and open notebooks."""
    found = Kernels()
    running = yield from _get(port, "/api/kernels", token)
    opened = yield from _get(port, "/api/sessions", token)
    if not isinstance(running, list) or not isinstance(opened, list):
        found.doubts.append("Jupyter does not say what its kernels do")
        return found
    names = {_of(_of(it, "kernel"), "id"): str(_of(it, "path") or "") for it in opened}
    for it in running:
        name = names.get(_of(it, "id")) or str(_of(it, "name"))
        if (state := _of(it, "execution_state")) not in RESTING:
            found.work.append(f"the kernel of {name} is {state}")
        elif at := _moment(_of(it, "last_activity")):
            found.touches.append((at, f"a cell of {name} was run"))
    for path in filter(None, names.values()):
        with contextlib.suppress(OSError):
            found.touches.append((os.stat(home / path).st_mtime, f"{path} was saved"))
    return found


def _get(port: int, path: str, token: str) -> Asking:
    """What a GET answers; nothing where it does not, in time and in JSON."""
    until = time.monotonic() + PATIENCE
    ask = (
        f"GET {path}?no_track_activity=1 HTTP/1.0\r\nHost: {HOST}:{port}\r\n"
        f"Authorization: token {token}\r\n\r\n"
    )
    with socket.socket() as one:
        one.setblocking(False)
        code = one.connect_ex((HOST, port))
        while code in AGAIN and time.monotonic() < until:
            yield
            code = one.connect_ex((HOST, port))
        if code not in {0, errno.EISCONN}:
            return None
        try:
            one.send(ask.encode())
            heard = yield from _until_closed(one, until)
        except OSError:
            return None
    head, _, body = heard.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def _until_closed(one: socket.socket, until: float) -> Generator[None, None, bytes]:
    heard = b""
    while time.monotonic() < until and len(heard) < LARGEST:
        try:
            said = one.recv(65536)
        except BlockingIOError:
            if not select.select([one], [], [], MOMENT)[0]:
                yield
            continue
        if not said:
            return heard
        heard += said
    return b""


def _of(thing: Any, name: str) -> Any:
    """A field of what somebody else said, if it has it."""
    return thing.get(name) if isinstance(thing, dict) else None


def _moment(said: Any) -> float | None:
    try:
        return datetime.fromisoformat(said).timestamp()
    except (TypeError, ValueError):
        return None
