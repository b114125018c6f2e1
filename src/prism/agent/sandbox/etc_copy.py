"""The `/etc` of sandboxes: a copy, because a mask over a file ends when this computer replaces it.

One copy for all workspaces of a home is brought up to date at each start. It contains what a
workspace's user may read, and no secrets of the system; other files are there as empty ones. Four
files are symlinks to a folder of each workspace: they differ, or change while it runs.
"""

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from prism.agent.sandbox.sandbox_layers import within
from prism.agent.system.safe_paths import Directory, remove_tree

ETC = "/etc"
SECRET_FILES = ("shadow", "shadow-", "gshadow", "gshadow-", "sudoers")
SECRET_FOLDERS = ("ssh", "ssl/private", "sudoers.d")
ACCOUNTS, NAME_FILES = ("passwd", "group"), ("hosts", "resolv.conf")
OWN_FILES = (*ACCOUNTS, *NAME_FILES)
OWN_ETC = "/run/prism/etc"
"""Where a sandbox shows the folder with its own files."""
COPY_FOLDER, COPY_TREE, INDEX, LOCK, DRAFT_FOLDER = (
    "etc-copy",
    "tree",
    "index.json",
    "lock",
    "draft",
)
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
COPIED_BYTES = 1 << 20  # at once
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC

Entry = list[int]
"""Inode, time of the last change, mode and size: it differs after every change."""
Index = dict[str, Entry]


def tree_of(home: Path) -> Path:
    """The folder that the sandboxes of this home show as `/etc`."""
    return home / COPY_FOLDER / COPY_TREE


class EtcCopy:
    """The copy in one home; the folders in `hidden` are empty in it."""

    def __init__(self, home: Path, hidden: Iterable[str], source: str = ETC) -> None:
        self._folder, self._source = home / COPY_FOLDER, source
        real = map(os.path.realpath, hidden)
        self._hidden = sorted({path for path in real if within(path, source) and path != source})
        self.tree = tree_of(home)

    def refresh(self) -> None:
        """Bring it up to date; running sandboxes see that. Raises `OSError`."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if self._recorded() == self._expected(self._scanned()):
            return
        with _locked(self._folder / LOCK):
            self._update(entries := self._scanned())
            draft = self._folder / DRAFT_FOLDER
            draft.write_text(json.dumps(self._expected(entries)))
            draft.rename(self._folder / INDEX)

    def _recorded(self) -> dict[str, object]:
        try:
            recorded: dict[str, object] = json.loads((self._folder / INDEX).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return recorded

    def _expected(self, entries: Index) -> dict[str, object]:
        """The index of a complete copy; a power cut may have damaged that of an earlier boot."""
        boot = BOOT_ID.read_text() if BOOT_ID.exists() else ""
        return {"boot": boot, "uid": os.geteuid(), "hidden": self._hidden, "entries": entries}

    def _scanned(self) -> Index:
        entries: Index = {}
        top = os.open(self._source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._scan(top, "", entries)
        finally:
            os.close(top)
        return entries

    def _scan(self, folder: int, prefix: str, entries: Index) -> None:
        for name in os.listdir(folder):
            try:
                about = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            path, mode = prefix + name, about.st_mode
            entries[path] = _entry(about)
            if not stat.S_ISDIR(mode) or self._is_closed(path, mode):
                continue
            with contextlib.suppress(PermissionError, FileNotFoundError):
                inner = os.open(name, FOLDER_FLAGS, dir_fd=folder)
                try:
                    self._scan(inner, f"{path}/", entries)
                finally:
                    os.close(inner)

    def _is_closed(self, path: str, mode: int) -> bool:
        """Whether the content of a folder is left out."""
        is_hidden = os.path.join(self._source, path) in self._hidden
        is_for_others = os.geteuid() != 0 or mode & stat.S_IXOTH
        return is_hidden or path in SECRET_FOLDERS or not is_for_others

    def _update(self, entries: Index) -> None:
        expected, recorded = self._expected(entries), self._recorded()
        before = recorded.pop("entries", {})
        is_same = recorded == {name: expected[name] for name in recorded} and bool(recorded)
        if not is_same or not isinstance(before, dict):
            before = {}
        self.tree.mkdir(exist_ok=True)
        self.tree.chmod(0o755)
        present = before if before else dict.fromkeys(_names_below(self.tree))
        for path in sorted(present.keys() - entries.keys()):  # a folder before its content
            remove_tree(self.tree / path)
        with Directory.at(os.path.realpath(self._source)) as source:
            for path, entry in entries.items():
                if before.get(path) != entry:
                    self._copy(source, path, entry[2])

    def _copy(self, source: Directory, path: str, mode: int) -> None:
        target = self.tree / path
        if stat.S_ISDIR(mode):
            if not _is_folder(target):
                remove_tree(target)
                target.mkdir()
            target.chmod(0o755 if path in SECRET_FOLDERS else mode & 0o777 | 0o700)
            return
        draft = self._folder / DRAFT_FOLDER
        draft.unlink(missing_ok=True)
        if path in OWN_FILES:
            draft.symlink_to(f"{OWN_ETC}/{path}")
        elif stat.S_ISLNK(mode):
            draft.symlink_to(source.readlink(path) or "")
        elif path in SECRET_FILES or not self._is_copied(source, path, draft):
            draft.touch(0o400)  # whoever copies the home reads it
        if _is_folder(target):
            remove_tree(target)
        draft.rename(target)

    def _is_copied(self, source: Directory, path: str, draft: Path) -> bool:
        """Copy a file, unless the workspace's user may not read it."""
        try:
            original = source.open(path, FILE_FLAGS)
        except OSError:
            return False
        with os.fdopen(original, "rb") as file:
            about = os.fstat(original)
            may_read = os.geteuid() != 0 or about.st_mode & stat.S_IROTH
            if not stat.S_ISREG(about.st_mode) or not may_read:
                return False
            with draft.open("wb") as copy:
                while content := file.read(COPIED_BYTES):
                    copy.write(content)
                os.fchmod(copy.fileno(), about.st_mode & 0o555 | stat.S_IRUSR)
            os.utime(draft, ns=(about.st_atime_ns, about.st_mtime_ns))
        return True


class Account(NamedTuple):
    """The user of a workspace, if it has one of its own."""

    name: str
    uid: int
    home: str

    def line(self, file: str) -> str:
        """Its line in `passwd` or `group`."""
        if file == "passwd":
            return f"{self.name}:x:{self.uid}:{self.uid}:Prism workspace:{self.home}:/bin/bash\n"
        return f"{self.name}:x:{self.uid}:\n" if file == "group" else ""


class OwnEtc:
    """The files in `/etc` that are a workspace's own, in a folder that its sandbox shows."""

    def __init__(
        self,
        folder: Path,
        account: Account | None = None,
        resolver: Callable[[str], str | None] | None = None,
        source: str = ETC,
    ) -> None:
        """`resolver` may replace the text of `resolv.conf`."""
        self._folder, self._account, self._resolver = folder, account, resolver
        self._source, self._written = source, Index()

    def write(self) -> None:
        """Write all of them, for a start; raises `OSError`."""
        self._folder.mkdir(exist_ok=True)
        self._folder.chmod(0o755)
        self._written = Index()
        self._update(OWN_FILES)

    def refresh(self) -> None:
        """Write the names of computers and of name servers, if they have changed here."""
        self._update(NAME_FILES)

    def _update(self, names: Iterable[str]) -> None:
        for name in names:
            original = Path(self._source, name)
            try:
                entry = _entry(original.stat())
                text = (
                    ""
                    if self._written.get(name) == entry
                    else original.read_text(errors="replace")
                )
            except OSError:  # it is missing, or being replaced
                continue
            if self._written.get(name) != entry:
                self._write(name, text)
                self._written[name] = entry

    def _write(self, name: str, text: str) -> None:
        if name == "resolv.conf" and self._resolver:
            text = self._resolver(text) or text
        if self._account:
            text = self._account.line(name) + text
        draft = self._folder / f".{name}.new"
        draft.write_text(text)
        draft.chmod(0o644)
        draft.rename(self._folder / name)


def _is_folder(path: Path) -> bool:
    """Whether it is a folder itself; the targets of symlinks are in a sandbox."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _entry(about: os.stat_result) -> Entry:
    return [about.st_ino, about.st_ctime_ns, about.st_mode, about.st_size]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _names_below(top: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            yield os.path.relpath(os.path.join(folder, name), top)
