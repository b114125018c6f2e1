"""What a copy of a tree consists of: a list of all its entries, written beside the copy."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

VERSION = 1
KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISLNK, "link"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISSOCK, "socket"),
)
DIFFERENCES = 5  # so many are named


class Entry:
    """One file, folder or other thing of a tree.

    `extra` is the SHA-256 of a file's content, or where a link leads; none where it is not known.
    `stamp` tells whether it has changed since it was looked at; a manifest does not keep it.
    """

    __slots__ = ("below", "extra", "gid", "inode", "kind", "mode", "mtime", "size", "stamp", "uid")

    def __init__(self, kind: str, found: os.stat_result | None = None) -> None:
        self.kind = kind
        self.mode = self.uid = self.gid = self.size = self.mtime = self.inode = 0
        self.extra: str | None = None
        self.stamp: tuple[int, ...] | None = None
        self.below: dict[str, Entry] = {}
        if found is not None:
            self.take(found)

    def take(self, found: os.stat_result) -> None:
        """Become what was found."""
        self.mode, self.uid, self.gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
        self.mtime, self.inode = found.st_mtime_ns, found.st_ino
        self.size = 0 if self.kind == "folder" else found.st_size
        self.stamp = _stamp(found)

    def same(self, found: os.stat_result) -> bool:
        """Whether nothing has changed since it was looked at."""
        return self.stamp == _stamp(found)

    @property
    def facts(self) -> list[Any]:
        """What a copy must have in common with what it is a copy of."""
        owner = (self.uid, self.gid)
        if self.kind == "link":
            return [self.kind, *owner, self.mtime]
        return [self.kind, self.mode, *owner, self.size, self.mtime]


def kind_of(mode: int) -> str:
    """The word for the type of a file."""
    return next((word for test, word in KINDS if test(mode)), "device")


def entries(root: Entry) -> Iterator[tuple[int, str, Entry]]:
    """All below a root, with their depth; a folder before what it holds."""
    stack = [iter(root.below.items())]
    while stack:
        if (found := next(stack[-1], None)) is None:
            stack.pop()
            continue
        name, entry = found
        yield len(stack), name, entry
        if entry.kind == "folder":
            stack.append(iter(entry.below.items()))


def paths(root: Entry) -> Iterator[tuple[str, Entry]]:
    """All below a root, with their paths."""
    way: list[str] = []
    for depth, name, entry in entries(root):
        way[depth - 1 :] = [name]
        yield "/".join(way), entry


def save(path: str, root: Entry, **more: Any) -> None:
    """Write a manifest."""
    listed = [
        (depth, name, it.kind, it.mode, it.uid, it.gid, it.size, it.mtime, it.extra)
        for depth, name, it in [(0, "", root), *entries(root)]
    ]
    text = json.dumps({"version": VERSION, **more, "entries": listed}, separators=(",", ":"))
    with open(f"{path}.new", "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)


def load(path: str) -> Entry:
    """Read a manifest; raises `ValueError` where it is none, or torn."""
    with open(path, encoding="ascii") as file:
        said = json.load(file)
    if not isinstance(said, dict) or said.get("version") != VERSION or not said["entries"]:
        raise ValueError("this is no manifest that this version can read")
    way: list[Entry] = []
    for depth, name, kind, *numbers, extra in said["entries"]:
        entry = Entry(kind)
        entry.mode, entry.uid, entry.gid, entry.size, entry.mtime = numbers
        entry.extra = extra
        way[depth:] = [entry]
        if depth:
            way[depth - 1].below[name] = entry
    return way[0]


def differences(expected: Entry, found: Entry) -> list[str]:
    """What is not as a manifest says, for people; the first few."""
    wrong: list[str] = []
    there = dict(paths(found))
    for path, entry in paths(expected):
        if len(wrong) == DIFFERENCES:
            return wrong
        other = there.pop(path, None)
        if other is None:
            wrong.append(f"{path} is missing")
        elif other.facts != entry.facts:
            wrong.append(f"{path} is not as it was: {_changed(entry, other)}")
        elif entry.extra and other.extra and entry.extra != other.extra:
            wrong.append(f"{path} has another content")
    return (wrong + [f"{path} has been added" for path in there])[:DIFFERENCES]


def visit(
    root: int,
    entry: Entry,
    each: Callable[[int, str, Entry], None],
    leave: Callable[[int, Entry], None] = lambda *_: None,
) -> None:
    """Go through a tree that nobody else changes, by the entries it should have.

    `each` gets the open folder that an entry is in; `leave` a folder after all that it holds.
    """
    current = os.dup(root)
    stack = [(entry, iter(entry.below.items()))]
    try:
        while stack:
            folder, rest = stack[-1]
            if (found := next(rest, None)) is None:
                leave(current, folder)
                stack.pop()
                current = _moved(current, "..") if stack else current
                continue
            name, child = found
            each(current, name, child)
            if child.kind == "folder":
                current = _moved(current, name)
                stack.append((child, iter(child.below.items())))
    finally:
        os.close(current)


def _moved(folder: int, name: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    found = os.open(name, flags, dir_fd=folder)
    os.close(folder)
    return found


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    which = (found.st_dev, found.st_ino, found.st_mode, found.st_size)
    return (*which, found.st_mtime_ns, found.st_ctime_ns)


def _changed(entry: Entry, other: Entry) -> str:
    if entry.kind != other.kind:
        return f"a {other.kind} instead of a {entry.kind}"
    if entry.size != other.size:
        return f"{other.size} bytes instead of {entry.size}"
    return "another time" if entry.mtime != other.mtime else "another mode or owner"
