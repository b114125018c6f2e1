"""Copies a tree that programs may be changing, in passes, until a pass finds no difference.

Every file is opened by descriptors, without following a symlink (`safe_paths.py`). If a pass finds
everything as copied, the copy is from the moment between that pass and the one before.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Sequence
from typing import Any

from prism.agent.copies.file_copy import (
    FileCopier,
    StopRequest,
    TreeCopyFailed,
    TreeCopyStopped,
    attributes_of,
    listed_attributes,
)
from prism.agent.copies.manifest import NO_ATTRIBUTES, ManifestEntry, kind_of
from prism.agent.machine.mounts import LINK_TO_VOLUME
from prism.agent.protocol import DISK_FULL_ERRORS
from prism.agent.system.safe_paths import LINK, OPEN_FOLDER, Directory, identity

OPEN_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
OPEN_TO_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
PASSES = 4  # the first copy, and repetitions of what was different
PASSES_HELD = 2  # while machines are paused: one to copy, and one that finds no difference
KEPT_OPEN = 100  # folders on the way down; those above are opened again on the way up
RECENT_NANOSECONDS = (
    20_000_000  # ns; a file that changed so recently may change without a new time
)
MAX_WAITS = 50  # how often a pass waits for that
GONE_ERRORS = {errno.ENOENT, errno.ESTALE, *LINK}
MADE_ANEW = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK}


class _Level:
    """A folder on the path: open in the source and in the target."""

    __slots__ = ("entry", "inside", "source", "source_identity", "target", "target_identity")

    def __init__(self, source: int, target: int, entry: ManifestEntry) -> None:
        self.source, self.target, self.entry = source, target, entry
        self.source_identity = identity(os.fstat(source))
        self.target_identity = identity(os.fstat(target))
        self.inside: list[str] = []  # folders that are still to be entered

    def close(self) -> None:
        if self.source >= 0:
            os.close(self.source)
            os.close(self.target)
            self.source = self.target = -1


class TreeCopier:
    """Makes a target equal to a source."""

    def __init__(
        self, source: Directory, target: Directory, stop: StopRequest, omitted: str = ""
    ) -> None:
        """Links from `volumes` to a path that begins with `omitted` are not copied."""
        self._omitted = omitted
        self._source, self._target, self._stop = source, target, stop
        self.files = FileCopier(stop)
        self._linked: dict[int, tuple[tuple[str, ...], Any, ManifestEntry]] = {}
        self._path: list[str] = []
        self._is_root = os.geteuid() == 0
        self._owner = (os.geteuid(), os.getegid())
        self.changes = 0
        self._has_writers = False
        self._again, self._patience, self._recent = False, 0, 0
        self.left_out: set[str] = set()
        self.root = ManifestEntry("folder")
        self.folder_attributes: dict[ManifestEntry, dict[str, bytes]] = {}
        """The extended attributes of folders that have some, and so what access they give."""

    def run(self, machines: Sequence[str] = ()) -> bool:
        """Copy everything; whether all of the copy is from one moment.

        `machines` are those whose programs may write there. If files keep changing, they are
        paused while the rest is copied.
        """
        self._has_writers = bool(machines)
        is_complete = self._is_complete(PASSES)
        if machines and not is_complete:
            from prism.agent.machine.pause import PausedTree  # noqa: PLC0415  most copies do not need it

            with PausedTree(machines) as are_still:
                is_complete = are_still and self._is_complete(PASSES_HELD)
        return is_complete and (self.files.sees_mapped_writes or not machines)

    def _is_complete(self, passes: int) -> bool:
        """Do up to this many passes; whether the last one found everything as copied."""
        for _ in range(passes):
            self.changes, self._patience = 0, MAX_WAITS
            self._run_pass()
            if self._again and not self.changes:
                return True
            self._again = True
        return False

    def _run_pass(self) -> None:
        """Compare the source with the copy, and copy what is different."""
        self._path = []
        # Opened again: btrfs lists only the entries of the time when the folder was opened.
        source = os.open(".", OPEN_FOLDER, dir_fd=self._source.fileno())
        top = _Level(source, os.dup(self._target.fileno()), self.root)
        levels = [top]
        try:
            self._note_folder(self.root, top.source)
            self._fill(top)
            while levels:
                if self._stop.requested:
                    raise TreeCopyStopped
                if levels[-1].inside:
                    self._descend(levels, levels[-1].inside.pop())
                else:
                    self._ascend(levels)
        finally:
            for level in levels:
                level.close()

    def _descend(self, levels: list[_Level], name: str) -> None:
        level = levels[-1]
        entry = level.entry.below[name]
        try:
            source = os.open(name, OPEN_FOLDER, dir_fd=level.source)
        except OSError as error:
            if error.errno not in GONE_ERRORS:
                raise
            self._drop(level, name)
            return
        target = os.open(name, OPEN_FOLDER, dir_fd=level.target)
        self._note_folder(entry, source)
        levels.append(_Level(source, target, entry))
        self._path.append(name)
        if len(levels) > KEPT_OPEN:
            levels[-KEPT_OPEN].close()
        self._fill(levels[-1])

    def _note_folder(self, entry: ManifestEntry, folder: int) -> None:
        """Note the status of a folder before it is listed, and whether that has changed."""
        if not entry.same(status := self._settled(folder)):
            self.changes += 1
            entry.take(status)
            self.folder_attributes.pop(entry, None)
            entry.attributes = NO_ATTRIBUTES
            if attributes := attributes_of(folder):
                self.folder_attributes[entry] = attributes
                entry.attributes = listed_attributes(attributes)

    def _settled(self, file: int) -> os.stat_result:
        """The status of a file or folder, once it has not changed for a moment.

        Times are only as fine as the kernel's clock: two changes within one tick look like one.
        """
        status = os.fstat(file)
        rest = RECENT_NANOSECONDS - (time.time_ns() - status.st_ctime_ns)
        if 0 < rest <= RECENT_NANOSECONDS and self._patience:
            self._patience -= 1
            time.sleep(rest / 1e9)
            status = os.fstat(file)
        return status

    def _ascend(self, levels: list[_Level]) -> None:
        level = levels.pop()
        if levels and levels[-1].source < 0:
            above = levels[-1]
            above.source = self._open_above(level.source, above.source_identity)
            above.target = self._open_above(level.target, above.target_identity)
        if self._path:
            self._path.pop()
        level.close()

    def _open_above(self, folder: int, expected: Any) -> int:
        above = os.open("..", OPEN_FOLDER, dir_fd=folder)
        if identity(os.fstat(above)) != expected:
            os.close(above)
            raise TreeCopyFailed("a program moved folders while they were copied")
        return above

    def _fill(self, level: _Level) -> None:
        """Copy entries that are no folder, and note the folders."""
        known = level.entry.below
        self._recent = time.time_ns() - RECENT_NANOSECONDS
        with os.scandir(level.source) as listing:
            entries = list(listing)
        if known:
            for name in known.keys() - {dir_entry.name for dir_entry in entries}:
                self._drop(level, name)
        for dir_entry in entries:
            if self._stop.requested:
                raise TreeCopyStopped
            try:
                if (entry := known.get(dir_entry.name)) is None or not self._is_same(
                    level, dir_entry, entry
                ):
                    self._add(level, dir_entry)
            except OSError as error:
                if error.errno not in GONE_ERRORS:
                    path = "/".join([*self._path, dir_entry.name])
                    raise TreeCopyFailed(message_of(error, path)) from error
                self._drop(level, dir_entry.name)

    def _is_same(self, level: _Level, listed: os.DirEntry[str], entry: ManifestEntry) -> bool:
        """Whether an entry is unchanged; a changed one is removed, to be copied again."""
        status = listed.stat(follow_symlinks=False)  # relative to the open folder
        if entry.kind != "folder":
            if entry.same(status):
                return True
        elif stat.S_ISDIR(status.st_mode) and entry.facts.inode == status.st_ino:
            level.inside.append(listed.name)
            return True
        self._drop(level, listed.name)
        return False

    def _drop(self, level: _Level, name: str) -> None:
        """Remove entries from the copy that are gone, or of another kind now."""
        self.changes += 1
        level.entry.below.pop(name, None)
        Directory(level.target).remove(name)

    def _add(self, level: _Level, listed: os.DirEntry[str]) -> None:
        """Copy an entry; the listing says what it was, opening it what it is now."""
        name = listed.name
        if listed.is_file(follow_symlinks=False):
            self.changes += 1
            level.entry.below[name] = self._copy_file(level, name)
        elif listed.is_dir(follow_symlinks=False):
            self.changes += 1
            os.mkdir(name, 0o700, dir_fd=level.target)
            level.entry.below[name] = ManifestEntry("folder")
            level.inside.append(name)
        else:
            self._add_other(level, name)

    def _add_other(self, level: _Level, name: str) -> None:
        status = os.stat(name, dir_fd=level.source, follow_symlinks=False)
        kind = kind_of(status.st_mode)
        if kind in {"file", "folder"}:
            raise OSError(errno.ENOENT, "it was replaced meanwhile", name)
        if kind == "device":
            self.left_out.add("/".join([*self._path, name]))
            return
        link = os.readlink(name, dir_fd=level.source) if kind == "link" else None
        if link and self._path == ["volumes"] and self._is_omitted(link):
            return
        self.changes += 1
        level.entry.below[name] = self._make_other(level, name, link, status)

    def _is_omitted(self, link: str) -> bool:
        """Whether a link leads to a volume, here or where the home was before."""
        if not self._omitted:
            return False
        return link.startswith(self._omitted) or LINK_TO_VOLUME.search(link) is not None

    def _make_other(
        self, level: _Level, name: str, link: str | None, status: os.stat_result
    ) -> ManifestEntry:
        entry = ManifestEntry(kind_of(status.st_mode), status)
        if link is not None:
            entry.extra = link
            os.symlink(link, name, dir_fd=level.target)
        else:
            os.mknod(name, MADE_ANEW[entry.kind] | 0o600, dir_fd=level.target)
            os.chmod(name, status.st_mode & 0o7777, dir_fd=level.target)
        owner = (status.st_uid, status.st_gid)
        if owner != self._owner and self._is_root:
            os.chown(name, *owner, dir_fd=level.target, follow_symlinks=False)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=level.target, follow_symlinks=False)
        return entry

    def _copy_file(self, level: _Level, name: str) -> ManifestEntry:
        source = os.open(name, OPEN_TO_READ, dir_fd=level.source)
        try:
            status = os.fstat(source)
            if status.st_ctime_ns > self._recent:
                status = self._settled(source)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.ENOENT, "it is not a file any more", name)
            entry = ManifestEntry("file", status)
            if status.st_nlink > 1 and self._link(level, name, status, entry):
                return entry
            if status.st_size and self._has_writers:
                self.files.write_protect(source, status.st_dev)
            target = os.open(name, OPEN_TO_WRITE, status.st_mode & 0o777, dir_fd=level.target)
            try:
                if not self.files.copy(source, target, status, entry):
                    path = "/".join([*self._path, name])
                    raise TreeCopyFailed(f"{path} is not in the copy as it was read")
                if status.st_nlink > 1:
                    which = identity(os.fstat(target))
                    self._linked[status.st_ino] = ((*self._path, name), which, entry)
            finally:
                os.close(target)
            return entry
        finally:
            os.close(source)

    def _link(
        self, level: _Level, name: str, status: os.stat_result, entry: ManifestEntry
    ) -> bool:
        """Whether another name of the same file was copied, and is linked here now."""
        if (known := self._linked.get(status.st_ino)) is None:
            return False
        (*folders, last), which, copied = known
        if not copied.same(status):
            return False
        try:
            with self._target.folder("/".join(folders)) if folders else _dup(self._target) as at:
                if identity(at.stat(last)) != which:
                    return False
                os.link(last, name, src_dir_fd=at.fileno(), dst_dir_fd=level.target)
        except OSError as error:
            if error.errno in DISK_FULL_ERRORS:
                raise
            return False  # it was copied anew elsewhere, or may have no more links
        entry.extra, entry.copied_inode = copied.extra, copied.copied_inode
        entry.attributes = copied.attributes
        return True


def _dup(folder: Directory) -> Directory:
    return Directory(os.dup(folder.fileno()))


def message_of(error: OSError, path: str) -> str:
    """The message about a file that failed, for people."""
    return f"{path}: {error.strerror or error}"
