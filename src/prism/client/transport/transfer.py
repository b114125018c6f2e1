"""Uploads and downloads files in pieces, with the standard library only."""

from __future__ import annotations

import os

from prism.annotations import Any, BinaryIO, Callable, Iterator
from prism.client.errors import DaemonUnreachable
from prism.client.transport.wire import Wire, query, quoted
from prism.errors import Conflict, Problem

UPLOAD_CHUNK = 8 << 20  # bytes of one request
BINARY = "application/octet-stream"
MAX_ATTEMPTS = 3  # how often a piece is sent whose answer was lost


def files_of(name: str, *more: str) -> str:
    """The address of a workspace's files."""
    return "/".join((f"/instances/{quoted(name)}/files", *more))


def upload(
    wire: Wire,
    name: str,
    source: BinaryIO,
    path: str,
    *,
    replace: bool = False,
    progress: Callable[[int, int], object] = lambda done, size: None,
) -> Any:
    """Send a file in pieces; the last answer. `progress` gets the bytes sent and the size.

    After a broken connection it continues at the last byte that the daemon received.
    """
    size = os.fstat(source.fileno()).st_size
    at = 0
    while True:
        source.seek(at)
        piece = source.read(min(UPLOAD_CHUNK, size - at))
        if not piece and at < size:
            raise Conflict(
                "The file became shorter while it was sent",
                details=f"it had {size} bytes, and there are none after the first {at} now",
                remediation="Send it again, once no program changes it",
            )
        query_string = query(path=path, offset=at, size=size, replace="true" if replace else None)
        answer, at = _send_piece(wire, files_of(name, "content") + query_string, piece, at)
        progress(at, size)
        if answer is not None and answer["complete"]:
            return answer


def _send_piece(wire: Wire, address: str, piece: bytes, at: int) -> tuple[Any, int]:
    """The answer to one piece, if it came, and where the next one begins."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            answer = wire.send("PUT", address, piece, media_type=BINARY).json()
        except DaemonUnreachable:
            if attempt == MAX_ATTEMPTS:
                raise
        except Problem as problem:
            # After a lost answer the daemon may have received more, or less, than we know.
            received = (problem.data or {}).get("received")
            if attempt == 1 or problem.code != "UPLOAD_OFFSET" or not isinstance(received, int):
                raise
            return None, received
        else:
            return answer, int(answer["received"])
    raise AssertionError("the last attempt returns or raises")


def content(wire: Wire, name: str, path: str, first: int = 0) -> Iterator[bytes]:
    """The content of a file, piece by piece, from that byte on."""
    headers = {"Range": f"bytes={first}-"} if first else {}
    yield from wire.stream(files_of(name, "content") + query(path=path), headers)


def download(
    wire: Wire,
    name: str,
    path: str,
    target: str,
    progress: Callable[[int], object] = lambda done: None,
) -> int:
    """Write a file here, under its name only when it is complete; its size in bytes."""
    part, done = f"{target}.{os.urandom(4).hex()}.prism-part", 0
    pieces = content(wire, name, path)
    next(pieces)  # raises if there is no such file, before a local file is made
    # Never through a link, which may be from an earlier copy out of a workspace.
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    try:
        with open(number, "wb") as file:
            for piece in pieces:
                done += file.write(piece)
                progress(done)
        os.replace(part, target)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise
    return done
