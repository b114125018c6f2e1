"""What local machines said: files that their supervisors write and turn over when full."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from prism.logs.ports import Kind, LogChunk
from prism.providers.local import folder as folders

ID = re.compile(r"local-[0-9a-f]{17}")
OLDER = (".2", ".1", "")  # a log and what it was before it was turned over, the oldest first
PIECE = 1 << 18
LONGEST = 10_000
LOST = "(some lines were lost here: they are kept no longer)"
CREDENTIALS = re.compile(r"://[^/@\s]+@")
HEAD = 64
Place = tuple[int, bytes, int]  # a file's inode, how it begins, and how far it was read
NOWHERE: Place = (0, b"", 0)
Mark = Mapping[str, Place]
OURS = {"console", "setup", "inside"}


class Source(Struct, frozen=True):
    """One file, and the word before its lines where there are several."""

    label: str
    path: Path


class LocalLogs:
    """Implements `logs.ports.Logs`."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def tail(self, id: str, kind: Kind, lines: int) -> LogChunk:
        """The last lines of each file of that kind, those last written to at the end."""
        sources = sorted(self._sources(id, kind), key=lambda it: _written(it.path))
        said, mark, share = [], dict[str, Place](), max(1, lines // max(1, len(sources)))
        for source in sources:
            found, mark[str(source.path)] = _end_of(source.path, share)
            said += [self._shown(id, source, line) for line in found]
        return LogChunk(tuple(said[-lines:]), mark)

    def after(self, id: str, kind: Kind, mark: Mark | None) -> LogChunk:
        """What was written since, through any number of turns."""
        said, now = [], dict(mark or {})
        for source in self._sources(id, kind):
            found, now[str(source.path)] = _since(source.path, now.get(str(source.path)))
            said += [self._shown(id, source, line) for line in found]
        return LogChunk(tuple(said), now)

    def _sources(self, id: str, kind: Kind) -> list[Source]:
        folder = self._root / id
        if not ID.fullmatch(id) or not folder.is_dir():
            return []
        logs = folder / "logs"
        if kind == "cloud-init":
            return [Source("", logs / "setup.log")]
        if kind == "console":
            own = Source("", logs / "console.log")
            return [own, Source("supervisor", folder / "supervisor.log")]
        order = folders.ordered(folder)
        services = order.get("services", {}) if order else ()
        names = [name for name in services if name not in OURS]
        several = len(names) > 1
        return [Source(name if several else "", logs / f"{name}.log") for name in names]

    def _shown(self, id: str, source: Source, line: bytes) -> str:
        text = line.decode(errors="replace").rstrip("\r")
        if secret := folders.token(self._root / id):
            text = text.replace(secret, "***")
        text = CREDENTIALS.sub("://***@", text)
        text = text if len(text) <= LONGEST else text[:LONGEST] + "…"
        return f"{source.label}: {text}" if source.label else text


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[list[tuple[int, BinaryIO]]]:
    """The files of a log with their inodes, the oldest first; no link is followed."""
    with contextlib.ExitStack() as stack:
        files: dict[int, BinaryIO] = {}
        for suffix in OLDER:
            with contextlib.suppress(OSError):
                number = os.open(f"{path}{suffix}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                file = stack.enter_context(os.fdopen(number, "rb"))
                files.setdefault(os.fstat(number).st_ino, file)
        yield list(files.items())


def _end_of(path: Path, count: int) -> tuple[list[bytes], Place]:
    """The last lines, and where the last whole one ends."""
    with _opened(path) as files:
        if not files:
            return [], NOWHERE
        inode, newest = files[-1]
        found, end = _last(newest, count)
        for _, file in reversed(files[:-1]):
            if len(found) >= count:
                break
            found = _last(file, count - len(found))[0] + found
        return found, _place(inode, newest, end)


def _last(file: BinaryIO, count: int) -> tuple[list[bytes], int]:
    """The last lines of one file, and the offset behind the last one that is whole."""
    start = end = file.seek(0, os.SEEK_END)
    found = b""
    while start > 0 and found.count(b"\n") <= count and len(found) < PIECE * 64:
        start = max(0, start - PIECE)
        file.seek(start)
        found = file.read(end - start)
    whole, newline, _ = found.rpartition(b"\n")
    if not newline:
        return [], 0 if start == 0 else end
    return whole.split(b"\n")[-count:] if count > 0 else [], start + len(whole) + 1


def _since(path: Path, mark: Place | None) -> tuple[list[bytes], Place]:
    """A piece of what was written since the mark, and the mark behind it."""
    with _opened(path) as files:
        if not files:
            return [], mark or NOWHERE
        inode, head, offset = mark or NOWHERE
        # An inode is given again as soon as its file is gone: how it begins tells them apart.
        known = (
            n
            for n, (current, binary_io) in enumerate(files)
            if current == inode and _begins(binary_io, head, offset)
        )
        notes: list[bytes] = []
        if (at := next(known, None)) is None:
            notes = [LOST.encode()] if inode else []
            at, offset = 0, 0
        inode, file = files[at]
        lines, offset = _read(file, offset, closed=at < len(files) - 1)
        if not lines and at < len(files) - 1:
            inode, file = files[at + 1]
            lines, offset = _read(file, 0, closed=at + 1 < len(files) - 1)
        return notes + lines, _place(inode, file, offset)


def _place(inode: int, file: BinaryIO, offset: int) -> Place:
    file.seek(0)
    return inode, file.read(min(HEAD, offset)), offset


def _begins(file: BinaryIO, head: bytes, offset: int) -> bool:
    file.seek(0)
    return file.read(len(head)) == head and file.seek(0, os.SEEK_END) >= offset


def _read(file: BinaryIO, offset: int, *, closed: bool) -> tuple[list[bytes], int]:
    """Whole lines from there on; of a file that is closed the rest too, however it ends."""
    file.seek(offset)
    said = file.read(PIECE)
    whole, newline, rest = said.rpartition(b"\n")
    if newline:
        return whole.split(b"\n"), offset + len(whole) + 1
    if rest and (closed or len(rest) == PIECE):
        return [rest], offset + len(rest)
    return [], offset


def _written(path: Path) -> float:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except OSError:
        return 0.0
