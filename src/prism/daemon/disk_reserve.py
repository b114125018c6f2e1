"""On a full disk, allows requests that free space and refuses other changes.

Every change writes into the database. If that is SQLite in the home, a full disk would interrupt a
change at any point, so the free space is checked before. A change that frees space first gets a
part of the reserve. If that was not enough, it is undone, gets another part, and is tried again.
"""

import asyncio
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from prism.access.rules import API
from prism.kit.database.database_faults import DatabaseFull
from prism.kit.database.disk_reserve import HINT, NO_ROOM, HomeDiskFull, Reserve
from prism.kit.http import BODY, RAW, READS, replay_body
from prism.kit.idempotency import RecordedAnswer
from prism.kit.routes import WEBSOCKET, HandlerRoutes
from prism.lifecycle import VERBS

log = logging.getLogger(__name__)
FREES_SPACE = {
    *(f"POST {API}/instances/{{name}}/{name}" for name, verb in VERBS.items() if verb.frees_space),
    f"POST {API}/orphans/{{id}}/terminate",
    f"POST {API}/storage/volumes/{{name}}/detach",
    f"POST {API}/daemon/clean",
}
"""Besides every DELETE: routes that free space or lead to that."""
READING_METHODS = {"GET", "HEAD", "OPTIONS"}  # methods that change nothing
MEASURED_FOLDERS = {
    "workspaces": "workspaces",
    "volumes": "storage/volumes",
    "snapshots": "storage/snapshots",
    "caches": "cache",
}
RELEASE_SECONDS, FREEING_TIMEOUT = (
    60.0,
    2.0,
)  # seconds: for which sizes are cached, and for measuring them
DISK_FULL_CODES = {HomeDiskFull.code, DatabaseFull.code}
FULL_STATUS = 503
MAX_ATTEMPTS = 3  # of a request that frees space
SIZE_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class HomeDisk:
    """The disk of the home: whether it is full, and what uses its space."""

    def __init__(self, reserve: Reserve, *, holds_database: bool) -> None:
        """`holds_database`: the database is on this disk, so every change needs space."""
        self.reserve, self._holds_database = reserve, holds_database
        self._lock = threading.Lock()
        self._sizes: tuple[float, Mapping[str, int]] = (0.0, {})

    def refuse(self) -> None:
        """Raise `HomeDiskFull`, with the largest users of space, if a change has no space."""
        if not (self._holds_database and self.reserve.is_full):
            return
        sizes = self._measured()
        used = ", ".join(f"{name} {size_text(size)}" for name, size in sizes.items())
        raise HomeDiskFull(
            details=f"the space of {self.reserve.folder} is used by {used or 'unknown files'}",
            remediation=HINT,
            data={"taken": dict(sizes), "free": self.reserve.free},
        )

    def reasons(self) -> list[str]:
        """Why the daemon is degraded, as far as this disk goes."""
        if not self.reserve.is_full:
            return []
        return [f"The disk is full ({self.reserve.folder}): `prism clean` frees some of it"]

    def _measured(self) -> Mapping[str, int]:
        """The largest users of space and their bytes; measured again after a while only."""
        with self._lock:
            at, sizes = self._sizes
            if at and time.monotonic() - at < RELEASE_SECONDS:
                return sizes
            until = time.monotonic() + FREEING_TIMEOUT
            home = self.reserve.folder
            measured = {name: _size(home / part, until) for name, part in MEASURED_FOLDERS.items()}
            measured["the database"] = sum(path.stat().st_size for path in home.glob("state.db*"))
            known = {name: size for name, size in measured.items() if size}
            sizes = dict(sorted(known.items(), key=lambda it: -(it[1] or 0)))
            self._sizes = time.monotonic(), sizes
            return sizes


class DiskSpaceGuard(ASGIMiddleware):
    """A middleware that checks the disk before requests that take space."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, home_disk: HomeDisk) -> None:
        self._home_disk = home_disk

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass the request on, if there is space for it."""
        await _in_thread(self._home_disk.refuse)
        return await next_app(scope, receive, send)


class DiskSpaceRelease(ASGIMiddleware):
    """A middleware that gives requests that free space a part of the reserve first."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, home_disk: HomeDisk) -> None:
        self._home_disk = home_disk

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass a request on; again, after the disk was full: then it was undone completely."""
        await _in_thread(self._home_disk.reserve.make_room)
        body = cast("dict[str, Any]", scope)[BODY]
        for _ in range(MAX_ATTEMPTS - 1):
            answer = RecordedAnswer()
            try:
                await next_app(scope, replay_body(body, receive), answer.record)
            except (DatabaseFull, HomeDiskFull):
                pass
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
            else:
                if not _says_full(answer):
                    return await answer.send_to(send)
            log.info("the disk was full during a request, which is repeated")
            ScopeState.from_scope(scope).response_started = False  # nothing has been sent
            await _in_thread(self._home_disk.reserve.spend)
        return await next_app(scope, replay_body(body, receive), send)


async def _in_thread(work: Callable[[], None]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, work)


def _says_full(answer: RecordedAnswer) -> bool:
    """Whether a request was undone because the disk is full."""
    if answer.status != FULL_STATUS:
        return False
    try:
        return bool(msgspec.json.decode(answer.body)["error"]["code"] in DISK_FULL_CODES)
    except (msgspec.DecodeError, KeyError, TypeError):
        return False


def takes_space(routes: HandlerRoutes) -> bool:
    """Whether a handler's requests need space on the disk."""
    changes = bool(routes.methods - READING_METHODS) and not routes.options.get(READS)
    is_of_http = WEBSOCKET not in routes.methods and not routes.options.get(RAW)
    return is_of_http and changes and not frees_space(routes)


def frees_space(routes: HandlerRoutes) -> bool:
    """Whether a handler's requests are allowed on a full disk."""
    frees = routes.methods == {"DELETE"} or routes.addresses <= FREES_SPACE
    return frees and not routes.options.get(RAW)


def size_text(size: float) -> str:
    """A number of bytes for people."""
    for unit in SIZE_UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {SIZE_UNITS[-1]}"


def _size(folder: Path, until: float) -> int:
    """The bytes that a folder takes on the disk; 0 if measuring takes too long."""
    patience = until - time.monotonic()
    if patience <= 0 or not folder.is_dir():
        return 0
    command = ["du", "-sk", str(folder)]
    try:
        process = subprocess.run(command, capture_output=True, check=False, timeout=patience)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    first = process.stdout.split(None, 1)
    return int(first[0]) * 1024 if first and first[0].isdigit() else 0
