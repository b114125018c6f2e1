"""Reads the logs of one machine, which its supervisor writes and rotates, for the daemon."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from prism.agent.machine.folder import read
from prism.agent.protocol import SPEC, TOKEN_FILE

OLDER = (".2", ".1", "")  # a log and its rotated files, the oldest first
LOG_CHUNK = 1 << 18
MAX_LINE_LENGTH = 10_000
LINES_LOST = "(some lines are missing here: they were deleted meanwhile)"
CREDENTIALS = re.compile(r"://[^/@\s]+@")
HEAD_BYTES = 64
OWN_LOGS = {"console", "setup", "inside"}


class Position(NamedTuple):
    """Up to where a log was read: the file's inode, how it begins in hex, and an offset."""

    inode: int = 0
    head: str = ""
    offset: int = 0


Positions = Mapping[str, Any]  # by the name of the log: a `Position`, or a list of its fields


class Source(NamedTuple):
    """One file, and the label of its lines if there are several files."""

    label: str
    path: Path


class MachineLogs:
    """The logs of machines whose folders `find` knows."""

    def __init__(self, find: Callable[[str], "Path | None"]) -> None:
        self._find = find

    def tail(self, id: str, kind: str, lines: int) -> "tuple[list[str], dict[str, Position]]":
        """The last lines of each file of that kind; the last modified file comes last."""
        sources = sorted(self._sources(id, kind), key=lambda it: _modified_at(it.path))
        texts: list[str] = []
        mark: dict[str, Position] = {}
        share = max(1, lines // max(1, len(sources)))
        for source in sources:
            file_lines, mark[source.path.name] = _last_lines(source.path, share)
            texts += [self._redact(id, source, line) for line in file_lines]
        return texts[-lines:], mark

    def after(
        self, id: str, kind: str, mark: "Positions | None"
    ) -> "tuple[list[str], dict[str, Position]]":
        """The lines since the mark, also after rotations."""
        texts: list[str] = []
        now = {name: Position(*position) for name, position in (mark or {}).items()}
        for source in self._sources(id, kind):
            name = source.path.name
            file_lines, now[name] = _new_lines(source.path, now.get(name))
            texts += [self._redact(id, source, line) for line in file_lines]
        return texts, now

    def _sources(self, id: str, kind: str) -> "list[Source]":
        if (folder := self._find(id)) is None:
            return []
        logs = folder / "logs"
        if kind == "cloud-init":
            return [Source("", logs / "setup.log")]
        if kind == "console":
            console = Source("", logs / "console.log")
            return [console, Source("supervisor", folder / "supervisor.log")]
        services = read(folder / SPEC).get("services", {})
        names = [name for name in services if name not in OWN_LOGS]
        several = len(names) > 1
        return [Source(name if several else "", logs / f"{name}.log") for name in names]

    def _redact(self, id: str, source: Source, line: bytes) -> str:
        text = line.decode(errors="replace").rstrip("\r")
        if (folder := self._find(id)) and (secret := _token(folder)):
            text = text.replace(secret, "***")
        text = CREDENTIALS.sub("://***@", text)
        text = text if len(text) <= MAX_LINE_LENGTH else text[:MAX_LINE_LENGTH] + "…"
        return f"{source.label}: {text}" if source.label else text


def _token(folder: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return (folder / TOKEN_FILE).read_text()
    return ""


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
            return [], Position()
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
            return [], mark or Position()
        inode, head, offset = mark or Position()
        # An inode is reused as soon as its file is gone, so the first bytes are compared too.
        known = (
            n
            for n, (current, binary_io) in enumerate(files)
            if current == inode and _begins_with(binary_io, bytes.fromhex(head), offset)
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
    return Position(inode, file.read(min(HEAD_BYTES, offset)).hex(), offset)


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
