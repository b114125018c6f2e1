"""Compares a finished copy of a tree with its source, and completes the folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from io import BufferedReader

from prism.agent.copies.file_copy import (
    StopRequest,
    TreeCopyFailed,
    TreeCopyStopped,
    set_attribute,
)
from prism.agent.copies.manifest import ManifestEntry, kind_of, paths, visit
from prism.agent.copies.tree_copier import OPEN_TO_READ
from prism.agent.system.safe_paths import Directory


class CopyCheck:
    """Compares each entry of a copy with what was read, and counts the space of the copy.

    Each file was compared by its descriptor when it was written (`FileCopier.copy`). So the check
    only has to show that its name leads to that file, which the folder's listing tells without a
    call per file.
    """

    def __init__(
        self,
        root: ManifestEntry,
        folder_attributes: Mapping[ManifestEntry, Mapping[str, bytes]] | None = None,
    ) -> None:
        self._root, self._is_root = root, os.geteuid() == 0
        self._attributes = folder_attributes or {}
        self.used, self.is_hashed = 0, True

    def run(self, target: Directory) -> None:
        """Raise `TreeCopyFailed` with the first entry that differs."""
        visit(target.fileno(), self._root, self._compare_folder, self._leave)

    def _compare_folder(self, folder: int, entry: ManifestEntry) -> None:
        with os.scandir(folder) as listing:
            listed = {dir_entry.name: dir_entry for dir_entry in listing}
        for name, child in entry.below.items():
            if (dir_entry := listed.pop(name, None)) is None:
                raise TreeCopyFailed(f"{name} is missing in the copy")
            if child.kind == "file" and dir_entry.inode() == child.copied_inode:
                self.used += child.blocks * 512
                self.is_hashed = self.is_hashed and child.extra is not None
            elif child.kind != "folder" or not dir_entry.is_dir(follow_symlinks=False):
                self._compare(folder, name, child)
        for name in listed:
            raise TreeCopyFailed(f"{name} is in the copy and was not read")

    def _compare(self, folder: int, name: str, entry: ManifestEntry) -> None:
        """Compare an entry that is no regular file, or whose inode differs from the listing."""
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        self.used += (entry.blocks if entry.kind == "file" else status.st_blocks) * 512
        self.is_hashed = self.is_hashed and (entry.kind != "file" or entry.extra is not None)
        kind = kind_of(status.st_mode)
        read, copied = entry.facts, ManifestEntry(kind, status).facts
        same = (
            kind == entry.kind
            and (copied.size, copied.mtime) == (read.size, read.mtime)
            and (kind == "link" or copied.mode == read.mode)
            and (kind != "link" or os.readlink(name, dir_fd=folder) == entry.extra)
            and (not self._is_root or (copied.uid, copied.gid) == (read.uid, read.gid))
        )
        if not same:
            raise TreeCopyFailed(f"{name} is not in the copy as it was read")

    def _leave(self, folder: int, entry: ManifestEntry) -> None:
        status = os.fstat(folder)
        self.used += status.st_blocks * 512
        facts = entry.facts
        if self._is_root and (status.st_uid, status.st_gid) != (facts.uid, facts.gid):
            os.fchown(folder, facts.uid, facts.gid)
        for name, value in self._attributes.get(entry, {}).items():
            if not set_attribute(folder, name, value):  # last: new entries may inherit it
                entry.attributes = None
        os.fchmod(folder, facts.mode)
        os.utime(folder, ns=(facts.mtime, facts.mtime))


class StoppableFile:
    """A file whose reading ends with a request to stop: a sparse one may take days."""

    def __init__(self, file: BufferedReader, stop: StopRequest) -> None:
        self._file, self._stop = file, stop

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:
        """Read into a buffer; raises `TreeCopyStopped`."""
        if self._stop.requested:
            raise TreeCopyStopped
        return self._file.readinto(buffer)


def hash_files(
    tree: Directory, expected: ManifestEntry | None, root: ManifestEntry, stop: StopRequest
) -> None:
    """Hash files that have no hash yet; with a manifest, only those with a hash there."""
    hashes = (
        {path: manifest_entry.extra for path, manifest_entry in paths(expected)}
        if expected
        else {}
    )
    for path, entry in paths(root):
        if stop.requested:
            raise TreeCopyStopped
        if entry.kind == "file" and not entry.extra and (expected is None or hashes.get(path)):
            with os.fdopen(tree.open(path, OPEN_TO_READ), "rb") as file:
                content = StoppableFile(file, stop)
                entry.extra = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
