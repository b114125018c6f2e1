"""Homes of local machines, whether they run or not.

A workspace can change its home at any moment and in any way, so no path is passed to the kernel:
everything is resolved from the descriptor of the home (`agent/system/safe_paths.py`).

`~/volumes/NAME` is a symlink to the folder of an attached volume, and is not followed either. If
the daemon's own record has an attached volume of that name, and the link leads to its folder, the
path is resolved from the descriptor of that folder.
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from prism.agent.protocol import Mount
from prism.agent.system.safe_paths import Directory
from prism.errors import AlreadyExists, Problem
from prism.files.model import (
    DiskFull,
    FileEntry,
    FileForbidden,
    FileMissing,
    FileOperationFailed,
    FolderNotEmpty,
    Kind,
    WrongFileKind,
)
from prism.files.plan import VOLUMES, offset_mismatch, part_of, split
from prism.files.ports import Scan

MACHINE_ID = re.compile(r"local-[0-9a-f]{17}")
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

    def __init__(
        self, root: Path, mounted: Callable[[str], Sequence[Mount]] = lambda _: ()
    ) -> None:
        """`mounted` returns the volumes that are attached to a machine."""
        self._root, self._mounted = root.absolute(), mounted

    def scan(self, id: str, path: str, limit: int) -> Scan:
        """The entries of a folder, in the order of the disk."""
        with self._tree(id, path) as tree, refusals(path or "the home"), tree.folder() as folder:
            scanned = list(folder.scan(limit + 1))
        entries = [_file_entry(name, about, tree.volumes) for name, about in scanned[:limit]]
        return Scan(entries, len(scanned) > limit)

    def open(self, id: str, path: str) -> "LocalReading":
        """A regular file; a pipe or a device is not even opened."""
        with self._tree(id, path) as tree, refusals(path):
            below = tree.inside()
            _require_regular(tree.root.stat(below), path)
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            descriptor = tree.root.open(below, flags)
            try:
                return LocalReading(descriptor, _require_regular(os.fstat(descriptor), path))
            except BaseException:
                os.close(descriptor)
                raise

    def begin(self, id: str, path: str, offset: int, *, replace: bool) -> "LocalWriting":
        """Write to a part file beside it."""
        with self._tree(id, path) as tree:
            above, name = split(tree.inside())
            owner = os.fstat(tree.root.fileno())
            with refusals(split(path)[0] or "the home"):
                folder = tree.folder(above)
            try:
                with refusals(path):
                    mode = _mode_of_new_file(folder, name, path, replace=replace)
                    descriptor = _open_part(folder, name, offset, owner, mode)
            except BaseException:
                folder.close()
                raise
        return LocalWriting(folder, path, descriptor, replace=replace)

    def make_folder(self, id: str, path: str) -> None:
        """Each new folder has the owner of the home or the volume."""
        with self._tree(id, path) as tree, refusals(path):
            if not tree.path or _exists(tree.root, tree.path):
                raise AlreadyExists(f"{path} already exists")
            owner = os.fstat(tree.root.fileno())
            parts = tree.path.split("/")
            for count in range(1, len(parts) + 1):
                below = "/".join(parts[:count])
                new = not _exists(tree.root, below)
                with tree.root.make(below, 0o755) as created:
                    if new:
                        os.fchmod(created.fileno(), 0o755)
                        _chown(created.fileno(), owner)

    def rename(self, id: str, path: str, to: str) -> None:
        """Within the home, or within a volume; nothing is replaced."""
        with self._tree(id, path) as tree, self._tree(id, to) as other, refusals(path):
            tree.root.stat(tree.movable())
            if not other.path or _exists(other.root, other.path):
                raise AlreadyExists(f"{to} already exists")
            if tree.root.identity != other.root.identity:
                raise WrongFileKind(
                    f"{path} and {to} are not on the same volume",
                    remediation="Copy it with `cp` in a terminal of the workspace, "
                    "then delete the original",
                )
            tree.root.rename(tree.path, other.path)

    def remove(self, id: str, path: str, *, recursive: bool) -> None:
        """Remove a file or folder; of a link, the link itself."""
        with self._tree(id, path) as tree:
            above, name = split(tree.movable())
            with refusals(path), tree.folder(above) as folder:
                if recursive:
                    folder.stat(name)
                    folder.remove(name)
                elif stat.S_ISDIR(folder.stat(name).st_mode):
                    os.rmdir(name, dir_fd=folder.fileno())
                else:
                    folder.unlink(name)

    @contextmanager
    def _tree(self, id: str, path: str) -> Iterator["Tree"]:
        """The home, or the attached volume, to which a path leads."""
        if not MACHINE_ID.fullmatch(id):
            raise FileMissing("The workspace has no home on this machine")
        with refusals("the home"):
            home = Directory.at(self._root / id / "home")
        with home:
            if path.split("/", maxsplit=1)[0] != VOLUMES:
                yield Tree(home, path)
                return
            volumes = self._linked_volumes(id, home)
            _, _, below = path.partition("/")
            name, _, inside = below.partition("/")
            if name not in volumes:
                names = frozenset(volumes) if not below else frozenset[str]()
                yield Tree(home, path, volumes=names)
                return
            with refusals(path):
                root = Directory.at(volumes[name])
            with root:
                yield Tree(root, inside, volume=name)

    def _linked_volumes(self, id: str, home: Directory) -> dict[str, str]:
        """The folders of attached volumes that have their link, by name."""
        folders = dict[str, str]()
        for mount in self._mounted(id):
            with suppress(OSError):
                if home.readlink(f"{VOLUMES}/{mount['name']}") == mount["path"]:
                    folders[mount["name"]] = mount["path"]
        return folders


class Tree:
    """The home or a volume, and a path relative to it, which is empty for the tree itself.

    `volume` is the name of the volume, empty for the home; `volumes` are the entries of the folder
    that are volumes.
    """

    def __init__(
        self,
        root: Directory,
        path: str,
        *,
        volume: str = "",
        volumes: frozenset[str] = frozenset(),
    ) -> None:
        self.root, self.path = root, path
        self.volume, self.volumes = volume, volumes

    def inside(self) -> str:
        """The path; raises if it is the tree itself, which is a volume and no file."""
        if not self.path:
            raise WrongFileKind(
                f"volumes/{self.volume} is an attached volume, not a file",
                remediation=f"`prism volume detach {self.volume} WORKSPACE` takes it out",
            )
        return self.path

    def movable(self) -> str:
        """The path; raises also if it is the folder with the attached volumes."""
        if self.volumes:
            raise WrongFileKind(
                f"{self.path} is where volumes are attached: {', '.join(sorted(self.volumes))}",
                remediation="`prism volume detach VOLUME WORKSPACE` takes one out",
            )
        return self.inside()

    def folder(self, path: str | None = None) -> Directory:
        """An open folder of the tree, by default the one of the path."""
        below = self.path if path is None else path
        return self.root.folder(below) if below else Directory(os.dup(self.root.fileno()))


class LocalReading:
    """Implements `files.ports.FileReader`."""

    def __init__(self, descriptor: int, about: os.stat_result) -> None:
        self._descriptor, self.size = descriptor, about.st_size
        self.tag = f'"{about.st_ino:x}-{about.st_size:x}-{about.st_mtime_ns:x}"'

    def read(self, offset: int, size: int) -> bytes:
        """At most that many bytes."""
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


class LocalWriting:
    """Implements `files.ports.FileWriter`."""

    def __init__(self, folder: Directory, path: str, descriptor: int, *, replace: bool) -> None:
        self._folder, self._path, self._descriptor = folder, path, descriptor
        self._name, self._replace = split(path)[1], replace

    def write(self, piece: bytes) -> None:
        """Append."""
        with refusals(self._path):
            while piece:
                piece = piece[os.write(self._descriptor, piece) :]

    def finish(self) -> None:
        """Sync it to the disk, then give it its name."""
        part, at = part_of(self._name), self._folder.fileno()
        with refusals(self._path):
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
        """Close it; a part that is not discarded can be continued."""
        os.close(self._descriptor)
        if discard:
            with suppress(OSError):
                self._folder.unlink(part_of(self._name))
        self._folder.close()


@contextmanager
def refusals(path: str) -> Iterator[None]:
    """Turn errors of the file system into problems."""
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


def _file_entry(name: str, about: os.stat_result | None, volumes: frozenset[str]) -> FileEntry:
    text = name.encode(errors="surrogateescape").decode(errors="replace")
    kind = "other" if about is None else _kind(about.st_mode)
    if name in volumes and kind == "link":
        kind = "folder"
    when = None
    if about is not None:
        with suppress(OverflowError, ValueError, OSError):
            when = datetime.fromtimestamp(int(about.st_mtime), UTC)
    size = about.st_size if about is not None and kind == "file" else None
    return FileEntry(name=text, kind=kind, size=size, modified=when, addressable=text == name)


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def _require_regular(about: os.stat_result, path: str) -> os.stat_result:
    if not stat.S_ISREG(about.st_mode):
        raise WrongFileKind(
            f"{path} is not a file",
            details=f"it is a {_kind(about.st_mode)}; Prism does not follow links",
        )
    return about


def _exists(folder: Directory, path: str) -> bool:
    try:
        folder.stat(path)
    except FileNotFoundError:
        return False
    return True


def _mode_of_new_file(folder: Directory, name: str, path: str, *, replace: bool) -> int:
    """The mode of a new file: that of the file that it replaces."""
    try:
        about = folder.stat(name)
    except FileNotFoundError:
        return 0o644
    if stat.S_ISDIR(about.st_mode):
        raise WrongFileKind(f"{path} is a folder")
    if not replace:
        raise AlreadyExists(
            f"{path} already exists", remediation="Ask to replace it, or use another name"
        )
    return stat.S_IMODE(about.st_mode) & 0o777 if stat.S_ISREG(about.st_mode) else 0o644


def _open_part(folder: Directory, name: str, offset: int, owner: os.stat_result, mode: int) -> int:
    """Open the part of a file, new or to be continued."""
    part = part_of(name)
    if not offset:
        with suppress(FileNotFoundError):
            folder.unlink(part)
        descriptor = folder.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(descriptor, mode)
        _chown(descriptor, owner)
        return descriptor
    try:
        about = folder.stat(part)
    except FileNotFoundError:
        raise offset_mismatch(0) from None
    if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
        raise offset_mismatch(0)
    descriptor = folder.open(part, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1 or about.st_size != offset:
        os.close(descriptor)
        raise offset_mismatch(about.st_size)
    return descriptor


def _chown(descriptor: int, owner: os.stat_result) -> None:
    """Give a new file the owner of the home, if the daemon is root."""
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
