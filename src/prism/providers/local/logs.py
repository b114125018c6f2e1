"""Logs of local machines: files that their supervisors write, and rotate when full."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from prism.logs.ports import Kind, LogChunk
from prism.providers.local import folder as folders

MACHINE_ID = re.compile(r"local-[0-9a-f]{17}")
OLDER = (".2", ".1", "")  # a log and its rotated files, the oldest first
LOG_CHUNK = 1 << 18
MAX_LINE_LENGTH = 10_000
LINES_LOST = "(some lines are missing here: they were deleted meanwhile)"
CREDENTIALS = re.compile(r"://[^/@\s]+@")
HEAD_BYTES = 64
Position = tuple[int, bytes, int]  # a file's inode, how it begins, and how far it was read
NO_TAIL: Position = (0, b"", 0)
Positions = Mapping[str, Position]
OWN_LOGS = {"console", "setup", "inside"}


class Source(Struct, frozen=True):
    """One file, and the label of its lines if there are several files."""

    label: str
    path: Path


class LocalLogs:
    """Implements `logs.ports.Logs`."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def tail(self, id: str, kind: Kind, lines: int) -> LogChunk:
        """The last lines of each file of that kind; the last modified file comes last."""
        sources = sorted(self._sources(id, kind), key=lambda it: _modified_at(it.path))
        texts, mark, share = [], dict[str, Position](), max(1, lines // max(1, len(sources)))
        for source in sources:
            file_lines, mark[str(source.path)] = _last_lines(source.path, share)
            texts += [self._redact(id, source, line) for line in file_lines]
        return LogChunk(tuple(texts[-lines:]), mark)

    def after(self, id: str, kind: Kind, mark: Positions | None) -> LogChunk:
        """The lines since the mark, also after rotations."""
        texts, now = [], dict(mark or {})
        for source in self._sources(id, kind):
            file_lines, now[str(source.path)] = _new_lines(source.path, now.get(str(source.path)))
            texts += [self._redact(id, source, line) for line in file_lines]
        return LogChunk(tuple(texts), now)

    def _sources(self, id: str, kind: Kind) -> list[Source]:
        folder = self._root / id
        if not MACHINE_ID.fullmatch(id) or not folder.is_dir():
            return []
        logs = folder / "logs"
        if kind == "cloud-init":
            return [Source("", logs / "setup.log")]
        if kind == "console":
            console = Source("", logs / "console.log")
            return [console, Source("supervisor", folder / "supervisor.log")]
        spec = folders.read_spec(folder)
        services = spec.get("services", {}) if spec else ()
        names = [name for name in services if name not in OWN_LOGS]
        several = len(names) > 1
        return [Source(name if several else "", logs / f"{name}.log") for name in names]

    def _redact(self, id: str, source: Source, line: bytes) -> str:
        text = line.decode(errors="replace").rstrip("\r")
        if secret := folders.read_token(self._root / id):
            text = text.replace(secret, "***")
        text = CREDENTIALS.sub("://***@", text)
        text = text if len(text) <= MAX_LINE_LENGTH else text[:MAX_LINE_LENGTH] + "…"
        return f"{source.label}: {text}" if source.label else text


@contextlib.contextmanager
def _open_log(path: Path) -> Iterator[list[tuple[int, BinaryIO]]]:
    """The files of a log with their inodes, the oldest first; no link is followed."""
    with contextlib.ExitStack() as stack:
        files: dict[int, BinaryIO] = {}
        for suffix in OLDER:
            with contextlib.suppress(OSError):
                number = os.open(f"{path}{suffix}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                file = stack.enter_context(os.fdopen(number, "rb"))
                files.setdefault(os.fstat(number).st_ino, file)
        yield list(files.items())


def _last_lines(path: Path, count: int) -> tuple[list[bytes], Position]:
    """The last lines of a log, and the position behind the last whole one."""
    with _open_log(path) as files:
        if not files:
            return [], NO_TAIL
        inode, newest = files[-1]
        lines, end = _last_lines_of_file(newest, count)
        for _, file in reversed(files[:-1]):
            if len(lines) >= count:
                break
            lines = _last_lines_of_file(file, count - len(lines))[0] + lines
        return lines, _position_at(inode, newest, end)


def _last_lines_of_file(file: BinaryIO, count: int) -> tuple[list[bytes], int]:
    """The last lines of one file, and the offset behind the last whole one."""
    start = end = file.seek(0, os.SEEK_END)
    tail = b""
    while start > 0 and tail.count(b"\n") <= count and len(tail) < LOG_CHUNK * 64:
        start = max(0, start - LOG_CHUNK)
        file.seek(start)
        tail = file.read(end - start)
    whole, newline, _ = tail.rpartition(b"\n")
    if not newline:
        return [], 0 if start == 0 else end
    return whole.split(b"\n")[-count:] if count > 0 else [], start + len(whole) + 1


def _new_lines(path: Path, mark: Position | None) -> tuple[list[bytes], Position]:
    """A piece of the lines since the mark, and the mark behind them."""
    with _open_log(path) as files:
        if not files:
            return [], mark or NO_TAIL
        inode, head, offset = mark or NO_TAIL
        # An inode is reused as soon as its file is gone, so the first bytes are compared too.
        known = (
            n
            for n, (current, binary_io) in enumerate(files)
            if current == inode and _begins_with(binary_io, head, offset)
        )
        notes: list[bytes] = []
        if (at := next(known, None)) is None:
            notes = [LINES_LOST.encode()] if inode else []
            at, offset = 0, 0
        inode, file = files[at]
        lines, offset = _read_lines(file, offset, closed=at < len(files) - 1)
        if not lines and at < len(files) - 1:
            inode, file = files[at + 1]
            lines, offset = _read_lines(file, 0, closed=at + 1 < len(files) - 1)
        return notes + lines, _position_at(inode, file, offset)


def _position_at(inode: int, file: BinaryIO, offset: int) -> Position:
    file.seek(0)
    return inode, file.read(min(HEAD_BYTES, offset)), offset


def _begins_with(file: BinaryIO, head: bytes, offset: int) -> bool:
    file.seek(0)
    return file.read(len(head)) == head and file.seek(0, os.SEEK_END) >= offset


def _read_lines(file: BinaryIO, offset: int, *, closed: bool) -> tuple[list[bytes], int]:
    """Whole lines from an offset; of a closed file also the rest without a newline."""
    file.seek(offset)
    piece = file.read(LOG_CHUNK)
    whole, newline, rest = piece.rpartition(b"\n")
    if newline:
        return whole.split(b"\n"), offset + len(whole) + 1
    if rest and (closed or len(rest) == LOG_CHUNK):
        return [rest], offset + len(rest)
    return [], offset


def _modified_at(path: Path) -> float:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except OSError:
        return 0.0
