"""The manifest: a list of all entries of a tree, written beside a copy of the tree."""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, NamedTuple

MANIFEST_VERSION = 2  # 1 did not list extended attributes
KINDS_BY_MODE = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISLNK, "link"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISSOCK, "socket"),
)
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DIFFERENCES = 5  # the most that are reported
PACKED = struct.Struct("=4Q2q2Q")
CHANGED = -1  # stands for the time of a changed file
UNKNOWN_STATUS = PACKED.pack(0, 0, 0, 0, 0, CHANGED, 0, 0)
NONE_BELOW: dict[
    str, ManifestEntry
] = {}  # shared by all entries that are not folders, and always empty
NO_ATTRIBUTES: Mapping[str, bytes] = {}  # shared too
ROWS_AT_ONCE = 1000  # entries that are written together


class FileFacts(NamedTuple):
    """The status of a file, as the system reports it."""

    device: int
    inode: int
    mode: int
    size: int
    mtime: int
    ctime: int
    uid: int
    gid: int


class ManifestEntry:
    """One file, folder or other entry of a tree.

    `extra` is the SHA-256 of a file's content, or the target of a link; None if unknown.
    `attributes` are its extended attributes, those of users and of access control lists; None if
    unknown.
    `copied_inode` and `blocks` are the inode number of the copied file and its blocks. The status
    is packed, because there are millions of entries, and memory costs time.
    """

    __slots__ = ("_packed", "attributes", "below", "blocks", "copied_inode", "extra", "kind")

    def __init__(self, kind: str, status: os.stat_result | None = None) -> None:
        self.kind = kind
        self.extra: str | None = None
        self.attributes: Mapping[str, bytes] | None = None
        self.below: dict[str, ManifestEntry] = {} if kind == "folder" else NONE_BELOW
        self.blocks = self.copied_inode = 0
        self._packed = UNKNOWN_STATUS if status is None else _pack(status)

    @classmethod
    def listed(cls, kind: str, extra: str | None, facts: FileFacts) -> ManifestEntry:
        """An entry as a manifest lists it."""
        entry = cls(kind)
        entry.extra, entry._packed = extra, PACKED.pack(*facts)
        return entry

    @property
    def facts(self) -> FileFacts:
        """The status when the entry was read; a folder has no size."""
        facts = FileFacts._make(PACKED.unpack(self._packed))
        size = 0 if self.kind == "folder" else facts.size
        return facts._replace(mode=facts.mode & 0o7777, size=size)

    def take(self, status: os.stat_result) -> None:
        """Store a new status."""
        self._packed = _pack(status)

    def shorten(self, size: int) -> None:
        """Store a smaller size, because less could be read: the file has changed."""
        facts = FileFacts._make(PACKED.unpack(self._packed))
        self._packed = PACKED.pack(*facts._replace(size=size, ctime=CHANGED))

    def same(self, status: os.stat_result) -> bool:
        """Whether the status is unchanged since the entry was read."""
        return self._packed == _pack(status)

    def disown(self) -> None:
        """Forget the owner, which only root can give to a file."""
        facts = FileFacts._make(PACKED.unpack(self._packed))
        self._packed = PACKED.pack(*facts._replace(uid=0, gid=0))

    @property
    def compared(self) -> list[Any]:
        """The fields in which a copy must equal its source."""
        facts = self.facts
        if self.kind == "link":
            return [self.kind, facts.uid, facts.gid, facts.mtime]
        return [self.kind, facts.mode, facts.uid, facts.gid, facts.size, facts.mtime]


def kind_of(mode: int) -> str:
    """The name of a file type."""
    return next((word for test, word in KINDS_BY_MODE if test(mode)), "device")


def entries(root: ManifestEntry) -> Iterator[tuple[int, str, ManifestEntry]]:
    """All entries below a root, with their depth; a folder before its content."""
    stack = [iter(root.below.items())]
    while stack:
        if (pair := next(stack[-1], None)) is None:
            stack.pop()
            continue
        name, entry = pair
        yield len(stack), name, entry
        if entry.kind == "folder":
            stack.append(iter(entry.below.items()))


def paths(root: ManifestEntry) -> Iterator[tuple[str, ManifestEntry]]:
    """All entries below a root, with their paths."""
    parts: list[str] = []
    for depth, name, entry in entries(root):
        parts[depth - 1 :] = [name]
        yield "/".join(parts), entry


def save(path: str, root: ManifestEntry, **more: Any) -> None:
    """Write a manifest."""
    head = json.dumps(
        {"version": MANIFEST_VERSION, **more, "entries": None}, separators=(",", ":")
    )
    every, separator = chain([(0, "", root)], entries(root)), "["
    with open(f"{path}.new", "w", encoding="ascii", opener=_open_private) as file:
        file.write(head.removesuffix("null}"))
        while listed := [_row_of(*entry) for entry in islice(every, ROWS_AT_ONCE)]:
            file.write(separator + json.dumps(listed, separators=(",", ":"))[1:-1])
            separator = ","
        file.write("]}")
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # the umask of a copying process is 0


def load(path: str) -> ManifestEntry:
    """Read a manifest; raises `ValueError` if the file is no manifest, or incomplete."""
    return load_with_moment(path)[0]


def load_with_moment(path: str) -> tuple[ManifestEntry, bool | None]:
    """Read a manifest, and whether its files are from one moment."""
    with open(path, encoding="ascii") as file:
        saved = json.load(file)
    version = saved.get("version") if isinstance(saved, dict) else None
    if version not in range(1, MANIFEST_VERSION + 1) or not saved["entries"]:
        raise ValueError("this version cannot read the manifest")
    branch: list[ManifestEntry] = []
    unlisted: dict[str, str] | None = None if version == 1 else {}
    for depth, name, kind, mode, uid, gid, size, mtime, extra, *more in saved["entries"]:
        entry = ManifestEntry.listed(
            kind, extra, FileFacts(0, 0, mode, size, mtime, CHANGED, uid, gid)
        )
        attributes = more[0] if more else unlisted
        if attributes is not None:
            values = {name: bytes.fromhex(value) for name, value in attributes.items()}
            entry.attributes = values or NO_ATTRIBUTES
        del branch[depth:]
        if len(branch) != depth or (branch and branch[-1].kind != "folder"):
            raise ValueError("an entry of the manifest is in no folder")
        if branch:
            branch[-1].below[name] = entry
        branch.append(entry)
    return branch[0], saved.get("one_moment")


def differences(expected: ManifestEntry, actual: ManifestEntry) -> list[str]:
    """The first differences from a manifest, as messages."""
    wrong: list[str] = []
    present = dict(paths(actual))
    for path, entry in paths(expected):
        if len(wrong) == DIFFERENCES:
            return wrong
        other = present.pop(path, None)
        if other is None:
            wrong.append(f"{path} is missing")
        elif other.compared != entry.compared:
            wrong.append(f"{path} has changed: {_describe_change(entry, other)}")
        elif entry.extra and other.extra and entry.extra != other.extra:
            wrong.append(f"{path} has different content")
        elif not _equal_attributes(entry.attributes, other.attributes):
            wrong.append(f"{path} has different extended attributes or access rights")
    return (wrong + [f"{path} has been added" for path in present])[:DIFFERENCES]


def _equal_attributes(
    expected: Mapping[str, bytes] | None, actual: Mapping[str, bytes] | None
) -> bool:
    return expected is None or actual is None or expected == actual


def visit(
    root: int,
    entry: ManifestEntry,
    enter: Callable[[int, ManifestEntry], None],
    leave: Callable[[int, ManifestEntry], None] = lambda *_: None,
) -> None:
    """Visit the folders of `entry`, in a tree that nobody else changes.

    `enter` gets each open folder before the folders in it, and `leave` after them.
    """
    current = os.open(
        ".", OPEN_FOLDER, dir_fd=root
    )  # again: btrfs lists what existed at the opening
    stack: list[tuple[ManifestEntry, list[tuple[str, ManifestEntry]]]] = []
    try:
        enter(current, entry)
        stack.append((entry, _folders(entry)))
        while stack:
            folder, rest = stack[-1]
            if rest:
                name, child = rest.pop()
                current = _reopen(current, name)
                enter(current, child)
                stack.append((child, _folders(child)))
            else:
                leave(current, folder)
                stack.pop()
                current = _reopen(current, "..") if stack else current
    finally:
        os.close(current)


def _folders(entry: ManifestEntry) -> list[tuple[str, ManifestEntry]]:
    return [
        (name, manifest_entry)
        for name, manifest_entry in entry.below.items()
        if manifest_entry.kind == "folder"
    ]


def _reopen(folder: int, name: str) -> int:
    opened = os.open(name, OPEN_FOLDER, dir_fd=folder)
    os.close(folder)
    return opened


def _pack(status: os.stat_result) -> bytes:
    return PACKED.pack(
        status.st_dev,
        status.st_ino,
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_uid,
        status.st_gid,
    )


def _row_of(depth: int, name: str, entry: ManifestEntry) -> tuple[Any, ...]:
    """An entry as a line of a manifest."""
    _, _, mode, size, mtime, _, uid, gid = PACKED.unpack(entry._packed)
    size = 0 if entry.kind == "folder" else size
    row = (depth, name, entry.kind, mode & 0o7777, uid, gid, size, mtime, entry.extra)
    if entry.kind not in {"file", "folder"} or entry.attributes == NO_ATTRIBUTES:
        return row
    if entry.attributes is None:
        return (*row, None)
    return (*row, {name: value.hex() for name, value in entry.attributes.items()})


def _describe_change(entry: ManifestEntry, other: ManifestEntry) -> str:
    if entry.kind != other.kind:
        return f"a {other.kind} instead of a {entry.kind}"
    was, now = entry.facts, other.facts
    if was.size != now.size:
        return f"{now.size} bytes instead of {was.size}"
    return "another time" if was.mtime != now.mtime else "another mode or owner"
