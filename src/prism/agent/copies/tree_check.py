"""Compares a tree that came from elsewhere with the manifest that came with it.

Both may be made to do harm: the tree is read by descriptors, without following a symlink, and the
manifest is only compared. No name in it is opened.
"""

from __future__ import annotations

import hashlib
import os
import struct
from typing import NamedTuple

from prism.agent.copies.copy_check import StoppableFile
from prism.agent.copies.file_copy import (
    StopRequest,
    TreeCopyFailed,
    TreeCopyStopped,
    attributes_of,
    listed_attributes,
)
from prism.agent.copies.manifest import (
    ManifestEntry,
    differences,
    entries,
    kind_of,
    load_with_moment,
    visit,
)
from prism.agent.copies.tree_copier import OPEN_TO_READ
from prism.agent.system.safe_paths import Directory, FileIdentity, identity

MAX_MANIFEST_BYTES = 2**30
UNREADABLE = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(RecursionError, MemoryError, OverflowError, struct.error),
)


class CheckedTree(NamedTuple):
    """A tree that is what its manifest says."""

    root: ManifestEntry
    used_bytes: int
    one_moment: bool | None


def check_tree(tree: Directory, expected: str, stop: StopRequest) -> CheckedTree:
    """Read a whole tree and compare it; raises `TreeCopyFailed` with the first differences.

    Sockets are not compared, because no copy has them. Owners are compared if we are root, because
    nobody else can give a file to another user.
    """
    manifest, one_moment = _load(expected)
    reader = _TreeReader(stop)
    visit(tree.fileno(), reader.root, reader.read_folder)
    as_read, is_root = reader.owners(), os.geteuid() == 0
    _remove_sockets(manifest)
    for root in () if is_root else (manifest, reader.root):
        root.disown()
        for _, _, entry in entries(root):
            entry.disown()
    if wrong := differences(manifest, reader.root):
        raise TreeCopyFailed(f"it is not what its manifest says: {'; '.join(wrong)}")
    if not is_root:
        for entry, status in as_read:
            entry.take(status)
    return CheckedTree(reader.root, reader.used_bytes, one_moment)


def _load(path: str) -> tuple[ManifestEntry, bool | None]:
    try:
        if os.stat(path, follow_symlinks=False).st_size > MAX_MANIFEST_BYTES:
            raise TreeCopyFailed("its manifest is larger than 1 GiB")
        manifest, one_moment = load_with_moment(path)
        for entry in (manifest, *(entry for _, _, entry in entries(manifest))):
            _ = entry.compared  # raises if a field has another type
    except UNREADABLE as error:
        raise TreeCopyFailed("its manifest cannot be read") from error
    return manifest, one_moment if isinstance(one_moment, bool) else None


def _remove_sockets(root: ManifestEntry) -> None:
    for folder in [root, *(entry for _, _, entry in entries(root) if entry.kind == "folder")]:
        for name in [name for name, entry in folder.below.items() if entry.kind == "socket"]:
            del folder.below[name]


class _TreeReader:
    """Reads the entries of a tree that nobody else changes, with the hashes of all files."""

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop
        self._hashes: dict[FileIdentity, str] = {}  # of files with several names
        self._statuses: list[tuple[ManifestEntry, os.stat_result]] = []
        self._is_root = os.geteuid() == 0
        self.root = ManifestEntry("folder")
        self.used_bytes = 0

    def owners(self) -> list[tuple[ManifestEntry, os.stat_result]]:
        """The status of each entry, if owners are not compared."""
        return self._statuses

    def read_folder(self, folder: int, entry: ManifestEntry) -> None:
        """Note a folder and what is in it; folders in it are read later."""
        self._note(entry, os.fstat(folder))
        entry.attributes = listed_attributes(attributes_of(folder))
        with os.scandir(folder) as listing:
            names = [dir_entry.name for dir_entry in listing]
        for name in names:
            if self._stop.requested:
                raise TreeCopyStopped
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            child = entry.below[name] = ManifestEntry(kind_of(status.st_mode), status)
            if child.kind == "device":
                raise TreeCopyFailed(f"{name} is a device, which no snapshot has")
            if child.kind == "file":
                self._read_file(folder, name, child)
            elif child.kind != "folder":
                self._note(child, status)
            if child.kind == "link":
                child.extra = os.readlink(name, dir_fd=folder)

    def _note(
        self, entry: ManifestEntry, status: os.stat_result, *, is_counted: bool = False
    ) -> None:
        entry.take(status)
        self.used_bytes += 0 if is_counted else status.st_blocks * 512
        if not self._is_root:
            self._statuses.append((entry, status))

    def _read_file(self, folder: int, name: str, entry: ManifestEntry) -> None:
        with os.fdopen(os.open(name, OPEN_TO_READ, dir_fd=folder), "rb") as file:
            status = os.fstat(file.fileno())
            which = identity(status)
            entry.attributes = listed_attributes(attributes_of(file.fileno()))
            known = self._hashes.get(which)
            self._note(entry, status, is_counted=known is not None)
            content = StoppableFile(file, self._stop)
            entry.extra = known or hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
            if status.st_nlink > 1:
                self._hashes[which] = entry.extra
