"""Files in the homes of machines, on the computer where these are, whether they run or not.

A workspace can change its home at any moment and in any way, so no path is passed to the kernel:
everything is resolved from the descriptor of the home (`agent/system/safe_paths.py`).

`~/volumes/NAME` is a symlink to the folder of an attached volume, and is not followed either. If
the list of the machine's volumes has one of that name, and the link leads to its folder, the
path is resolved from the descriptor of that folder.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from prism.agent.protocol import Mount
from prism.agent.system.safe_paths import Directory

HOME_VOLUMES = "volumes"  # the folder of a home that attached volumes are in
REFUSAL_KINDS = {
    errno.ENOENT: "missing",
    errno.ELOOP: "wrong_kind",
    errno.ENOTDIR: "wrong_kind",
    errno.EISDIR: "wrong_kind",
    errno.EMLINK: "wrong_kind",
    errno.EXDEV: "wrong_kind",
    errno.ENXIO: "wrong_kind",
    errno.EINVAL: "wrong_kind",
    errno.ENOTEMPTY: "not_empty",
    errno.EEXIST: "exists",
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EACCES: "forbidden",
    errno.EPERM: "forbidden",
}
MESSAGES = {
    "missing": "There is no such file or folder",
    "wrong_kind": "This kind of file cannot be used here",
    "not_empty": "The folder is not empty",
    "exists": "There is one of that name already",
    "full": "The disk of the workspace is full",
    "forbidden": "The permissions in the workspace do not allow it",
    "failed": "It failed",
}
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # a file system without hard links


class FileRefusal(Exception):
    """A request about a file that is refused; `kind` is one of `MESSAGES`, or `offset`."""

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        details: str = "",
        remediation: str = "",
        received: int = 0,
    ) -> None:
        """`received` is how much of an upload was received, for `offset`."""
        super().__init__(message)
        self.kind, self.message, self.received = kind, message, received
        self.details, self.remediation = details, remediation


class HomeEntry(NamedTuple):
    """One entry of a folder; `kind` is `file`, `folder`, `link` or `other`."""

    name: str
    kind: str
    size: "int | None"
    modified: "int | None"


class HomeFolder:
    """The home of one machine."""

    def __init__(self, home: Path, mounted: Callable[[], Sequence[Mount]]) -> None:
        """`mounted` returns the volumes that are attached to the machine."""
        self.home, self._mounted = home, mounted

    def scan(self, path: str, limit: int) -> "tuple[list[HomeEntry], bool]":
        """The entries of a folder, in the order of the disk, and whether there are more."""
        with self._tree(path) as tree, refusals(path or "the home"), tree.folder() as folder:
            scanned = list(folder.scan(limit + 1))
        entries = [_entry(name, about, tree.volumes) for name, about in scanned[:limit]]
        return entries, len(scanned) > limit

    def open(self, path: str) -> "HomeReading":
        """A regular file; a pipe or a device is not even opened."""
        with self._tree(path) as tree, refusals(path):
            below = tree.inside()
            _require_regular(tree.root.stat(below), path)
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            descriptor = tree.root.open(below, flags)
            try:
                return HomeReading(descriptor, _require_regular(os.fstat(descriptor), path))
            except BaseException:
                os.close(descriptor)
                raise

    def begin(self, path: str, part: str, offset: int, *, replace: bool) -> "HomeWriting":
        """Write to a file beside it, which has the name `part` until it is complete."""
        with self._tree(path) as tree:
            above, name = _split(tree.inside())
            owner = os.fstat(tree.root.fileno())
            with refusals(_split(path)[0] or "the home"):
                folder = tree.folder(above)
            try:
                with refusals(path):
                    mode = _mode_of_new_file(folder, name, path, replace=replace)
                    descriptor = _open_part(folder, part, offset, owner, mode)
            except BaseException:
                folder.close()
                raise
        return HomeWriting(folder, path, part, descriptor, replace=replace)

    def make_folder(self, path: str) -> None:
        """Each new folder has the owner of the home or the volume."""
        with self._tree(path) as tree, refusals(path):
            if not tree.path or _exists(tree.root, tree.path):
                raise FileRefusal("exists", f"{path} already exists")
            owner = os.fstat(tree.root.fileno())
            parts = tree.path.split("/")
            for count in range(1, len(parts) + 1):
                below = "/".join(parts[:count])
                new = not _exists(tree.root, below)
                with tree.root.make(below, 0o755) as created:
                    if new:
                        os.fchmod(created.fileno(), 0o755)
                        _chown(created.fileno(), owner)

    def rename(self, path: str, to: str) -> None:
        """Within the home, or within a volume; nothing is replaced."""
        with self._tree(path) as tree, self._tree(to) as other, refusals(path):
            tree.root.stat(tree.movable())
            if not other.path or _exists(other.root, other.path):
                raise FileRefusal("exists", f"{to} already exists")
            if tree.root.identity != other.root.identity:
                raise FileRefusal(
                    "wrong_kind",
                    f"{path} and {to} are not on the same volume",
                    remediation="Copy it with `cp` in a terminal of the workspace, "
                    "then delete the original",
                )
            tree.root.rename(tree.path, other.path)

    def remove(self, path: str, *, recursive: bool) -> None:
        """Remove a file or folder; of a link, the link itself."""
        with self._tree(path) as tree:
            above, name = _split(tree.movable())
            with refusals(path), tree.folder(above) as folder:
                if recursive:
                    folder.stat(name)
                    folder.remove(name)
                elif stat.S_ISDIR(folder.stat(name).st_mode):
                    os.rmdir(name, dir_fd=folder.fileno())
                else:
                    folder.unlink(name)

    @contextmanager
    def _tree(self, path: str) -> "Iterator[Tree]":
        """The home, or the attached volume, to which a path leads."""
        with refusals("the home"):
            home = Directory.at(self.home)
        with home:
            if path.split("/", maxsplit=1)[0] != HOME_VOLUMES:
                yield Tree(home, path)
                return
            volumes = self._linked_volumes(home)
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

    def _linked_volumes(self, home: Directory) -> "dict[str, str]":
        """The folders of attached volumes that have their link, by name."""
        folders: dict[str, str] = {}
        for mount in self._mounted():
            with suppress(OSError):
                if home.readlink(f"{HOME_VOLUMES}/{mount['name']}") == mount["path"]:
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
        volumes: "frozenset[str]" = frozenset(),
    ) -> None:
        self.root, self.path = root, path
        self.volume, self.volumes = volume, volumes

    def inside(self) -> str:
        """The path; raises if it is the tree itself, which is a volume and no file."""
        if not self.path:
            raise FileRefusal(
                "wrong_kind",
                f"volumes/{self.volume} is an attached volume, not a file",
                remediation=f"`prism volume detach {self.volume} WORKSPACE` takes it out",
            )
        return self.path

    def movable(self) -> str:
        """The path; raises also if it is the folder with the attached volumes."""
        if self.volumes:
            raise FileRefusal(
                "wrong_kind",
                f"{self.path} is where volumes are attached: {', '.join(sorted(self.volumes))}",
                remediation="`prism volume detach VOLUME WORKSPACE` takes one out",
            )
        return self.inside()

    def folder(self, path: "str | None" = None) -> Directory:
        """An open folder of the tree, by default the one of the path."""
        below = self.path if path is None else path
        return self.root.folder(below) if below else Directory(os.dup(self.root.fileno()))


class HomeReading:
    """An open file; `size` and `tag` are from the time when it was opened."""

    def __init__(self, descriptor: int, about: os.stat_result) -> None:
        self._descriptor, self.size = descriptor, about.st_size
        self.tag = f'"{about.st_ino:x}-{about.st_size:x}-{about.st_mtime_ns:x}"'

    def read(self, offset: int, size: int) -> bytes:
        """At most that many bytes."""
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


class HomeWriting:
    """A file that is written under the name of its part."""

    def __init__(
        self, folder: Directory, path: str, part: str, descriptor: int, *, replace: bool
    ) -> None:
        self._folder, self._path, self._descriptor = folder, path, descriptor
        self._part, self._name, self._replace = part, _split(path)[1], replace

    def write(self, piece: bytes) -> None:
        """Append."""
        with refusals(self._path):
            while piece:
                piece = piece[os.write(self._descriptor, piece) :]

    def finish(self) -> None:
        """Sync it to the disk, then give it its name."""
        part, at = self._part, self._folder.fileno()
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
                self._folder.unlink(self._part)
        self._folder.close()


@contextmanager
def refusals(path: str) -> "Iterator[None]":
    """Turn errors of the file system into refusals."""
    try:
        yield
    except OSError as error:
        kind = REFUSAL_KINDS.get(error.errno or 0, "failed")
        why = os.strerror(error.errno) if error.errno else str(error)
        if kind == "wrong_kind":
            why += "; Prism follows no symbolic link"
        raise FileRefusal(kind, f"{MESSAGES[kind]}: {path}", details=why) from error


def _split(path: str) -> "tuple[str, str]":
    folder, _, name = path.rpartition("/")
    return folder, name


def _entry(name: str, about: "os.stat_result | None", volumes: "frozenset[str]") -> HomeEntry:
    if about is None:
        return HomeEntry(name, "other", None, None)
    kind = _kind(about.st_mode)
    if name in volumes and kind == "link":
        kind = "folder"
    return HomeEntry(name, kind, about.st_size if kind == "file" else None, int(about.st_mtime))


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def _require_regular(about: os.stat_result, path: str) -> os.stat_result:
    if not stat.S_ISREG(about.st_mode):
        raise FileRefusal(
            "wrong_kind",
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
        raise FileRefusal("wrong_kind", f"{path} is a folder")
    if not replace:
        raise FileRefusal(
            "exists",
            f"{path} already exists",
            remediation="Ask to replace it, or use another name",
        )
    return stat.S_IMODE(about.st_mode) & 0o777 if stat.S_ISREG(about.st_mode) else 0o644


def _open_part(folder: Directory, part: str, offset: int, owner: Any, mode: int) -> int:
    """Open the part of a file, new or to be continued."""
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
        raise _offset_mismatch(0) from None
    if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
        raise _offset_mismatch(0)
    descriptor = folder.open(part, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1 or about.st_size != offset:
        os.close(descriptor)
        raise _offset_mismatch(about.st_size)
    return descriptor


def _offset_mismatch(received: int) -> FileRefusal:
    return FileRefusal("offset", "", received=received)


def _chown(descriptor: int, owner: os.stat_result) -> None:
    """Give a new file the owner of the home, if this process is root."""
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
