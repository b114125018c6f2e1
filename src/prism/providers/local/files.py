"""Homes of local machines, whether they run or not.

A workspace can change its home at any moment and in any way, so no path goes to the kernel:
everything is resolved from the descriptor of the home (`agent/safe_paths.py`).
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from prism.agent.safe_paths import Directory
from prism.errors import AlreadyExists, Problem
from prism.files.model import (
    DiskFull,
    FileEntry,
    FileForbidden,
    FileMissing,
    FileOperationFailed,
    FolderNotEmpty,
    Kind,
    UploadOffset,
    WrongFileKind,
)
from prism.files.plan import part_of, split
from prism.files.ports import Scan

ID = re.compile(r"local-[0-9a-f]{17}")
PROBLEMS: dict[int, type[Problem]] = {
    errno.ENOENT: FileMissing,
    errno.ELOOP: WrongFileKind,
    errno.ENOTDIR: WrongFileKind,
    errno.EISDIR: WrongFileKind,
    errno.EMLINK: WrongFileKind,
    errno.EXDEV: WrongFileKind,
    errno.ENXIO: WrongFileKind,
    errno.EINVAL: WrongFileKind,
    errno.ENOTEMPTY: FolderNotEmpty,
    errno.EEXIST: AlreadyExists,
    errno.ENOSPC: DiskFull,
    errno.EDQUOT: DiskFull,
    errno.EACCES: FileForbidden,
    errno.EPERM: FileForbidden,
}
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # a file system without hard links


class LocalFiles:
    """Implements `files.ports.Files`."""

    asleep = True

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def scan(self, id: str, path: str, limit: int) -> Scan:
        """What is in a folder, in the order of the disk."""
        with self._folder(id, path) as folder, told(path or "the home"):
            found = list(folder.scan(limit + 1))
        entries = [_entry(name, about) for name, about in found[:limit]]
        return Scan(entries, len(found) > limit)

    def open(self, id: str, path: str) -> "LocalReading":
        """A regular file; a pipe or a device is not even opened."""
        with self._folder(id, "") as home, told(path):
            _regular(home.stat(path), path)
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            descriptor = home.open(path, flags)
            try:
                return LocalReading(descriptor, _regular(os.fstat(descriptor), path))
            except BaseException:
                os.close(descriptor)
                raise

    def begin(self, id: str, path: str, offset: int, *, replace: bool) -> "LocalWriting":
        """Its part is a file of ours beside it."""
        above, name = split(path)
        with self._folder(id, "") as home:
            owner = os.fstat(home.fileno())
            with told(above or "the home"):
                folder = home.folder(above or ".") if above else Directory(os.dup(home.fileno()))
            try:
                with told(path):
                    mode = _replaceable(folder, name, path, replace=replace)
                    descriptor = _part(folder, name, offset, owner, mode)
            except BaseException:
                folder.close()
                raise
        return LocalWriting(folder, path, descriptor, replace=replace)

    def make_folder(self, id: str, path: str) -> None:
        """Each new folder belongs to whom the home belongs to."""
        with self._folder(id, "") as home, told(path):
            owner = os.fstat(home.fileno())
            with suppress(FileNotFoundError):
                home.stat(path)
                raise AlreadyExists(f"There is a {path} already")
            parts = path.split("/")
            for count in range(1, len(parts) + 1):
                below = "/".join(parts[:count])
                new = not _there(home, below)
                with home.make(below, 0o755) as made:
                    if new:
                        os.fchmod(made.fileno(), 0o755)
                        _give(made.fileno(), owner)

    def rename(self, id: str, path: str, to: str) -> None:
        """Within the home; nothing is replaced."""
        with self._folder(id, "") as home, told(path):
            home.stat(path)
            if _there(home, to):
                raise AlreadyExists(f"There is a {to} already")
            home.rename(path, to)

    def remove(self, id: str, path: str, *, recursive: bool) -> None:
        """A link is removed, not what it leads to."""
        above, name = split(path)
        with self._folder(id, above) as folder, told(path):
            if recursive:
                folder.stat(name)
                folder.remove(name)
            elif stat.S_ISDIR(folder.stat(name).st_mode):
                os.rmdir(name, dir_fd=folder.fileno())
            else:
                folder.unlink(name)

    @contextmanager
    def _folder(self, id: str, path: str) -> Iterator[Directory]:
        """A folder of a home, or the home itself."""
        if not ID.fullmatch(id):
            raise FileMissing("The workspace has no home on this machine")
        with told("the home"):
            home = Directory.at(self._root / id / "home")
        with home:
            if not path:
                yield home
                return
            with told(path):
                below = home.folder(path)
            with below:
                yield below


class LocalReading:
    """Implements `files.ports.Reading`."""

    def __init__(self, descriptor: int, about: os.stat_result) -> None:
        self._descriptor, self.size = descriptor, about.st_size
        self.tag = f'"{about.st_ino:x}-{about.st_size:x}-{about.st_mtime_ns:x}"'

    def read(self, offset: int, size: int) -> bytes:
        """At most that many bytes."""
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


class LocalWriting:
    """Implements `files.ports.Writing`."""

    def __init__(self, folder: Directory, path: str, descriptor: int, *, replace: bool) -> None:
        self._folder, self._path, self._descriptor = folder, path, descriptor
        self._name, self._replace = split(path)[1], replace

    def write(self, piece: bytes) -> None:
        """Append."""
        with told(self._path):
            while piece:
                piece = piece[os.write(self._descriptor, piece) :]

    def finish(self) -> None:
        """On disk, and then under its name."""
        part, at = part_of(self._name), self._folder.fileno()
        with told(self._path):
            os.fsync(self._descriptor)
            if not self._replace:
                try:
                    os.link(part, self._name, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
                except OSError as error:
                    if error.errno not in NO_LINKS:
                        raise
                else:
                    self._folder.unlink(part)
                    return
            os.rename(part, self._name, src_dir_fd=at, dst_dir_fd=at)

    def close(self, *, discard: bool) -> None:
        """Let go of it; a part that is not discarded can be continued."""
        os.close(self._descriptor)
        if discard:
            with suppress(OSError):
                self._folder.unlink(part_of(self._name))
        self._folder.close()


@contextmanager
def told(path: str) -> Iterator[None]:
    """What the file system says, as a problem."""
    try:
        yield
    except OSError as error:
        kind = PROBLEMS.get(error.errno or 0, FileOperationFailed)
        why = os.strerror(error.errno) if error.errno else str(error)
        if kind is WrongFileKind:
            why += "; Prism follows no symbolic link"
        raise kind(f"{_MESSAGES.get(kind, 'It failed')}: {path}", details=why) from error


_MESSAGES: dict[type[Problem], str] = {
    FileMissing: "There is no such file or folder",
    WrongFileKind: "This kind of file cannot be used here",
    FolderNotEmpty: "The folder is not empty",
    AlreadyExists: "There is one of that name already",
    DiskFull: "The disk of the workspace is full",
    FileForbidden: "The permissions in the workspace do not allow it",
}


def _entry(name: str, about: os.stat_result | None) -> FileEntry:
    shown = name.encode(errors="surrogateescape").decode(errors="replace")
    kind = "other" if about is None else _kind(about.st_mode)
    when = None
    if about is not None:
        with suppress(OverflowError, ValueError, OSError):
            when = datetime.fromtimestamp(int(about.st_mtime), UTC)
    size = about.st_size if about is not None and kind == "file" else None
    return FileEntry(name=shown, kind=kind, size=size, modified=when, addressable=shown == name)


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def _regular(about: os.stat_result, path: str) -> os.stat_result:
    if not stat.S_ISREG(about.st_mode):
        raise WrongFileKind(
            f"{path} is not a file",
            details=f"it is a {_kind(about.st_mode)}; Prism follows no link",
        )
    return about


def _there(folder: Directory, path: str) -> bool:
    try:
        folder.stat(path)
    except FileNotFoundError:
        return False
    return True


def _replaceable(folder: Directory, name: str, path: str, *, replace: bool) -> int:
    """The mode that the new file gets: that of the one which it replaces."""
    try:
        about = folder.stat(name)
    except FileNotFoundError:
        return 0o644
    if stat.S_ISDIR(about.st_mode):
        raise WrongFileKind(f"{path} is a folder")
    if not replace:
        raise AlreadyExists(
            f"There is a {path} already", remediation="Say that it is to be replaced, or rename it"
        )
    return stat.S_IMODE(about.st_mode) & 0o777 if stat.S_ISREG(about.st_mode) else 0o644


def _part(folder: Directory, name: str, offset: int, owner: os.stat_result, mode: int) -> int:
    """The part of a file, new or to be continued."""
    part = part_of(name)
    if not offset:
        with suppress(FileNotFoundError):
            folder.unlink(part)
        descriptor = folder.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(descriptor, mode)
        _give(descriptor, owner)
        return descriptor
    try:
        about = folder.stat(part)
    except FileNotFoundError:
        raise _elsewhere(0) from None
    if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
        raise _elsewhere(0)
    descriptor = folder.open(part, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1 or about.st_size != offset:
        os.close(descriptor)
        raise _elsewhere(about.st_size)
    return descriptor


def _elsewhere(received: int) -> UploadOffset:
    return UploadOffset(
        details=f"{received} bytes were received",
        remediation="Continue from there, or begin anew at 0",
        data={"received": received},
    )


def _give(descriptor: int, owner: os.stat_result) -> None:
    """What the daemon makes belongs to whom the home belongs to."""
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
