"""Copies a tree that a workspace may be changing, and writes down what it copied.

    python -I -S tree_copy.py '{"source": …, "target": …, "manifest": …}'

A program of its own, so that the daemon neither waits nor shares its interpreter; it ends when
its standard input does, so none outlives the daemon. Every file is reached by descriptors,
without following a symlink (`safe_paths.py`).

After the first pass it looks at the whole tree again. If nothing is different, all files were
as they were copied at the moment between the two passes: the copy is of one moment. What is
different is copied again, a few times. The last line of the output says in JSON how it ended.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from prism.agent.manifest import (
    Entry,
    differences,
    entries,
    kind_of,
    load,
    paths,
    save,
    visit,
)
from prism.agent.pause import Held
from prism.agent.safe_paths import FOLDER, LINK, Directory, identity, remove_tree

FICLONE = 0x40049409
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
SMALL = 1 << 18  # a file up to this size is read at once, and hashed
PIECE = 1 << 26
PASSES = 4  # the first, and how often what was different is copied again
PASSES_HELD = 2  # while machines are held still: what is different, and that nothing is
KEPT_OPEN = 100  # folders on the way down; those above are opened again on the way up
RECENT = 20_000_000  # ns; what changed so lately may change again and keep its times
WAITS = 50  # how often a pass waits for that
NO_CLONES = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS}
FULL = {errno.ENOSPC, errno.EDQUOT}
GONE = {errno.ENOENT, errno.ESTALE, *LINK}
MADE_ANEW = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK}


class Failed(Exception):
    """The tree cannot be copied; the message is for people."""


class Stopped(Exception):
    """The daemon has ended, or wants no copy any more."""


class Stop:
    """Set when standard input ends, or on SIGTERM."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, lambda *_: self._ask())
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        self._ask()

    def _ask(self) -> None:
        self.asked = True


class _Level:
    """A folder on the way: open in the source and in the target."""

    __slots__ = ("entry", "inside", "source", "source_identity", "target", "target_identity")

    def __init__(self, source: int, target: int, entry: Entry) -> None:
        self.source, self.target, self.entry = source, target, entry
        self.source_identity = identity(os.fstat(source))
        self.target_identity = identity(os.fstat(target))
        self.inside: list[str] = []  # folders that are still to be entered

    def close(self) -> None:
        if self.source >= 0:
            os.close(self.source)
            os.close(self.target)
            self.source = self.target = -1


class Copier:
    """Makes a target what a source is."""

    def __init__(
        self, source: Directory, target: Directory, stop: Stop, omitted: str = ""
    ) -> None:
        """What leads from `volumes` to a path that begins with `omitted` is not copied."""
        self._omitted = omitted
        self._source, self._target, self._stop = source, target, stop
        self._clones = sys.platform == "linux"
        self._linked: dict[int, tuple[tuple[str, ...], Any, Entry]] = {}
        self._path: list[str] = []
        self._is_root = os.geteuid() == 0
        self._owner = (os.geteuid(), os.getegid())
        self.changes = 0
        self._again, self._patience = False, 0
        self.left_out: set[str] = set()
        self.root = Entry("folder")

    def run(self, machines: Sequence[str] = ()) -> bool:
        """Copy everything; whether all of it is of one moment.

        Where what changes does not rest, these machines are held still for what is left to copy.
        """
        if self._is_complete(PASSES) or not machines:
            return not self.changes
        with Held(machines) as are_still:
            return are_still and self._is_complete(PASSES_HELD)

    def _is_complete(self, passes: int) -> bool:
        """Go through it so often; whether the last time found all as it had been copied."""
        for _ in range(passes):
            self.changes, self._patience = 0, WAITS
            self._through()
            if self._again and not self.changes:
                return True
            self._again = True
        return False

    def _through(self) -> None:
        """Compare the source with what was copied, and copy what is different."""
        self._path = []
        top = _Level(os.dup(self._source.fileno()), os.dup(self._target.fileno()), self.root)
        levels = [top]
        try:
            self._look(self.root, top.source)
            self._fill(top)
            while levels:
                if self._stop.asked:
                    raise Stopped
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
            source = os.open(name, FOLDER, dir_fd=level.source)
        except OSError as error:
            if error.errno not in GONE:
                raise
            self._drop(level, name)
            return
        target = os.open(name, FOLDER, dir_fd=level.target)
        self._look(entry, source)
        levels.append(_Level(source, target, entry))
        self._path.append(name)
        if len(levels) > KEPT_OPEN:
            levels[-KEPT_OPEN].close()
        self._fill(levels[-1])

    def _look(self, entry: Entry, folder: int) -> None:
        """Note what a folder is before it is listed, and whether that has changed."""
        if not entry.same(found := self._settled(folder)):
            self.changes += 1
            entry.take(found)

    def _settled(self, file: int) -> os.stat_result:
        """What a file or folder is, once it has not changed for a moment.

        Times are only as fine as the kernel's clock: two changes within one tick look like one.
        """
        found = os.fstat(file)
        rest = RECENT - (time.time_ns() - found.st_ctime_ns)
        if 0 < rest <= RECENT and self._patience:
            self._patience -= 1
            time.sleep(rest / 1e9)
            found = os.fstat(file)
        return found

    def _ascend(self, levels: list[_Level]) -> None:
        level = levels.pop()
        if levels and levels[-1].source < 0:
            above = levels[-1]
            above.source = self._above(level.source, above.source_identity)
            above.target = self._above(level.target, above.target_identity)
        if self._path:
            self._path.pop()
        level.close()

    def _above(self, folder: int, expected: Any) -> int:
        found = os.open("..", FOLDER, dir_fd=folder)
        if identity(os.fstat(found)) != expected:
            os.close(found)
            raise Failed("a program moved folders while they were copied")
        return found

    def _fill(self, level: _Level) -> None:
        """Copy what is no folder, and note which folders there are."""
        known = level.entry.below
        with os.scandir(level.source) as entries:
            names = [(it.name, _likely(it)) for it in entries]
        if known:
            for name in known.keys() - {name for name, _ in names}:
                self._drop(level, name)
        for name, likely in names:
            if self._stop.asked:
                raise Stopped
            try:
                if name in known and self._is_known(level, name):
                    continue
                self._add(level, name, likely)
            except OSError as error:
                if error.errno not in GONE:
                    raise Failed(_said(error, "/".join([*self._path, name]))) from error
                self._drop(level, name)

    def _is_known(self, level: _Level, name: str) -> bool:
        """Whether an entry is as it was copied; else it is taken away, to be copied again."""
        entry = level.entry.below[name]
        found = os.stat(name, dir_fd=level.source, follow_symlinks=False)
        if entry.kind == "folder" and stat.S_ISDIR(found.st_mode) and entry.inode == found.st_ino:
            level.inside.append(name)
            return True
        if entry.kind != "folder" and entry.same(found):
            return True
        self._drop(level, name)
        return False

    def _drop(self, level: _Level, name: str) -> None:
        """It was there and is there no more, or is another one."""
        self.changes += 1
        level.entry.below.pop(name, None)
        Directory(level.target).remove(name)

    def _add(self, level: _Level, name: str, likely: str) -> None:
        if likely == "file":
            self.changes += 1
            level.entry.below[name] = self._file(level, name)
        elif likely == "folder":
            self.changes += 1
            os.mkdir(name, 0o700, dir_fd=level.target)
            level.entry.below[name] = Entry("folder")
            level.inside.append(name)
        else:
            self._add_other(level, name)

    def _add_other(self, level: _Level, name: str) -> None:
        found = os.stat(name, dir_fd=level.source, follow_symlinks=False)
        kind = kind_of(found.st_mode)
        if kind in {"file", "folder"}:
            raise OSError(errno.ENOENT, "it is another thing now", name)
        if kind == "device":
            self.left_out.add("/".join([*self._path, name]))
            return
        link = os.readlink(name, dir_fd=level.source) if kind == "link" else None
        if link and self._omitted and self._path == ["volumes"] and link.startswith(self._omitted):
            return
        self.changes += 1
        level.entry.below[name] = self._other(level, name, link, found)

    def _other(self, level: _Level, name: str, link: str | None, found: os.stat_result) -> Entry:
        entry = Entry(kind_of(found.st_mode), found)
        if link is not None:
            entry.extra = link
            os.symlink(link, name, dir_fd=level.target)
        else:
            os.mknod(name, MADE_ANEW[entry.kind] | 0o600, dir_fd=level.target)
            os.chmod(name, entry.mode, dir_fd=level.target)
        if (entry.uid, entry.gid) != self._owner and self._is_root:
            os.chown(name, entry.uid, entry.gid, dir_fd=level.target, follow_symlinks=False)
        times = (found.st_atime_ns, found.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=level.target, follow_symlinks=False)
        return entry

    def _file(self, level: _Level, name: str) -> Entry:
        source = os.open(name, READ, dir_fd=level.source)
        try:
            found = self._settled(source)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.ENOENT, "it is no file any more", name)
            entry = Entry("file", found)
            if found.st_nlink > 1 and self._link(level, name, entry):
                return entry
            target = os.open(name, WRITE, entry.mode & 0o777, dir_fd=level.target)
            try:
                size, entry.extra = self._data(source, target, found)
                if size != entry.size:  # it became shorter
                    entry.size, entry.stamp = size, None
                self._dress(source, target, entry)
                if found.st_nlink > 1:
                    which = identity(os.fstat(target))
                    self._linked[entry.inode] = ((*self._path, name), which, entry)
            finally:
                os.close(target)
            return entry
        finally:
            os.close(source)

    def _link(self, level: _Level, name: str, entry: Entry) -> bool:
        """Whether another name of the same file was copied, and has become its link here."""
        if (known := self._linked.get(entry.inode)) is None or not entry.stamp:
            return False
        (*folders, last), which, copied = known
        if copied.stamp != entry.stamp:
            return False
        try:
            with self._target.folder("/".join(folders)) if folders else _own(self._target) as at:
                if identity(at.stat(last)) != which:
                    return False
                os.link(last, name, src_dir_fd=at.fileno(), dst_dir_fd=level.target)
        except OSError as error:
            if error.errno in FULL:
                raise
            return False  # it was copied anew elsewhere, or may have no more links
        entry.extra = copied.extra
        return True

    def _data(self, source: int, target: int, found: os.stat_result) -> tuple[int, str | None]:
        """Copy what a file holds; how much that is, and its hash where we have read it."""
        if found.st_size and self._clones:
            try:
                fcntl.ioctl(target, FICLONE, source)
            except OSError as error:
                if error.errno not in NO_CLONES:
                    raise
                self._clones = False
            else:
                return os.fstat(target).st_size, None
        if found.st_size <= SMALL:
            content = os.read(source, found.st_size)
            if content:
                _write(target, content)
            return len(content), hashlib.sha256(content).hexdigest()
        self._long(source, target, found)
        return os.fstat(target).st_size, None

    def _long(self, source: int, target: int, found: os.stat_result) -> None:
        end = found.st_size
        sparse = found.st_blocks * 512 < end
        place = 0
        while place < end:
            begin, until = _extent(source, place, end) if sparse else (place, end)
            while begin < until:
                if self._stop.asked:
                    raise Stopped
                count = _some(source, target, begin, min(until - begin, PIECE))
                if not count:
                    break  # it has become shorter, which the next pass sees
                begin += count
            place = until
        if sparse:
            os.ftruncate(target, end)

    def _dress(self, source: int, target: int, entry: Entry) -> None:
        """Give a copy the attributes of what it is a copy of."""
        _attributes(source, target)
        if (entry.uid, entry.gid) != self._owner and self._is_root:
            os.fchown(target, entry.uid, entry.gid)
            os.fchmod(target, entry.mode)
        elif entry.mode & 0o7000:
            os.fchmod(target, entry.mode)
        os.utime(target, ns=(entry.mtime, entry.mtime))


class Finish:
    """Gives the copied folders their attributes, and compares the copy with what was read."""

    def __init__(self, copier: Copier) -> None:
        self._root, self._is_root = copier.root, os.geteuid() == 0
        self.used, self._counted = 0, set[int]()

    def run(self, target: Directory) -> None:
        """Raises `Failed` with the first thing that is not as it was read."""
        visit(target.fileno(), self._root, self._check, self._leave)

    def _check(self, folder: int, name: str, entry: Entry) -> None:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            raise Failed(f"{name} is missing in the copy") from None
        if entry.kind == "folder":
            self.used += found.st_blocks * 512
            if stat.S_ISDIR(found.st_mode):
                return
        elif found.st_nlink == 1 or found.st_ino not in self._counted:
            self.used += found.st_blocks * 512
            if found.st_nlink > 1:
                self._counted.add(found.st_ino)
        same = (
            found.st_size == entry.size
            and found.st_mtime_ns == entry.mtime
            and (stat.S_IMODE(found.st_mode) == entry.mode or entry.kind == "link")
            and kind_of(found.st_mode) == entry.kind
            and (not self._is_root or (found.st_uid, found.st_gid) == (entry.uid, entry.gid))
        )
        if not same:
            raise Failed(f"{name} is not in the copy as it was read")

    def _leave(self, folder: int, entry: Entry) -> None:
        found = os.fstat(folder)
        if self._is_root and (found.st_uid, found.st_gid) != (entry.uid, entry.gid):
            os.fchown(folder, entry.uid, entry.gid)
        os.fchmod(folder, entry.mode)
        os.utime(folder, ns=(entry.mtime, entry.mtime))


def copy(order: dict[str, Any], stop: Stop) -> dict[str, Any]:
    """Copy a tree; where `expected` names a manifest, what is copied has to be as it says."""
    expected = load(order["expected"]) if order.get("expected") else None
    if not os.path.isdir(order["target"]):
        os.mkdir(order["target"], 0o700)
    with Directory.at(order["source"]) as source, Directory.at(order["target"]) as target:
        copier = Copier(source, target, stop, order.get("omitted", ""))
        one_moment = copier.run(order.get("machines", ()))
        _still_there(order["source"], source)
        flushed = _Flush(target)  # the disk works while we compare
        finish = Finish(copier)
        finish.run(target)
        if expected is not None:
            hash_files(target, expected, copier.root, stop)
            if wrong := differences(expected, copier.root):
                raise Failed(f"it is not what its manifest says: {'; '.join(wrong)}")
        hashed = all(it.extra for _, _, it in entries(copier.root) if it.kind == "file")
        if order.get("manifest"):
            save(order["manifest"], copier.root, hashed=hashed, one_moment=one_moment)
        flushed.wait()
    return {
        "one_moment": one_moment,
        "used": finish.used,
        "hashed": hashed,
        "left_out": sorted(copier.left_out)[:5],
    }


def finish_hashes(order: dict[str, Any], stop: Stop) -> dict[str, Any]:
    """Add to a manifest the hashes that are not in it yet."""
    os.nice(19)
    root = load(order["manifest"])
    with Directory.at(order["source"]) as source:
        hash_files(source, None, root, stop)
    save(order["manifest"], root, hashed=True, one_moment=order.get("one_moment"))
    return {"hashed": True}


def hash_files(tree: Directory, expected: Entry | None, root: Entry, stop: Stop) -> None:
    """Read what has no hash yet; with a manifest, only what that knows the hash of."""
    wanted = {path: it.extra for path, it in paths(expected)} if expected else {}
    for path, entry in paths(root):
        if stop.asked:
            raise Stopped
        if entry.kind == "file" and not entry.extra and (expected is None or wanted.get(path)):
            with os.fdopen(tree.open(path, READ), "rb") as file:
                entry.extra = hashlib.file_digest(file, "sha256").hexdigest()


def _still_there(path: str, source: Directory) -> None:
    """Raise where the tree was taken away while it was read: then much of it is missing."""
    with suppress(OSError):
        if identity(os.stat(path, follow_symlinks=False)) == source.identity:
            return
    raise Failed("it was removed while it was copied")


def _likely(found: os.DirEntry[str]) -> str:
    """What a listing says that something is; whoever opens it sees what it has become."""
    if found.is_file(follow_symlinks=False):
        return "file"
    return "folder" if found.is_dir(follow_symlinks=False) else "other"


def _own(folder: Directory) -> Directory:
    return Directory(os.dup(folder.fileno()))


def _extent(file: int, place: int, end: int) -> tuple[int, int]:
    """Where data begins from there on, and where it ends."""
    try:
        begin = os.lseek(file, place, os.SEEK_DATA)
        return begin, min(end, os.lseek(file, begin, os.SEEK_HOLE))
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole
            return end, end
        return place, end


def _some(source: int, target: int, place: int, count: int) -> int:
    """Copy a piece; within the kernel where it can."""
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, count, place, place)
        except OSError as error:
            if error.errno not in NO_CLONES:
                raise
    content = os.pread(source, min(count, 1 << 20), place)
    os.lseek(target, place, os.SEEK_SET)
    _write(target, content)
    return len(content)


def _write(target: int, content: bytes) -> None:
    done = os.write(target, content)
    while done < len(content):
        done += os.write(target, memoryview(content)[done:])


def _attributes(source: int, target: int) -> None:
    """Extended attributes, as far as the target can have them."""
    if not hasattr(os, "listxattr"):
        return
    try:
        names = os.listxattr(source)
    except OSError:
        return
    for name in names:
        with suppress(PermissionError, FileNotFoundError):
            try:
                os.setxattr(target, name, os.getxattr(source, name))
            except OSError as error:
                if error.errno not in {errno.EOPNOTSUPP, errno.ENODATA}:
                    raise


class _Flush:
    """Brings what was written to the disk, in a thread, since it takes as long as the disk."""

    def __init__(self, target: Directory) -> None:
        self._target, self._why = target, ""
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def wait(self) -> None:
        """Also what was written since, which is little; raises where the disk did not take it."""
        self._thread.join()
        self._work()
        if self._why:
            raise Failed(f"the copy cannot be brought to the disk: {self._why}")

    def _work(self) -> None:
        if sys.platform != "linux":
            os.sync()
            return
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(self._target.fileno()):
            self._why = os.strerror(ctypes.get_errno())


def _said(error: OSError, path: str) -> str:
    return f"{path}: {error.strerror or error}"


def main(words: list[str]) -> int:
    """Do what is ordered, and say how it ended."""
    order = json.loads(words[1])
    os.umask(0)  # what is copied has its own mode, in a folder that is nobody else's
    stop = Stop()
    work = {"copy": copy, "hash": finish_hashes}[order.get("do", "copy")]
    try:
        answer = work(order, stop)
    except Stopped:
        if order.get("draft"):
            with suppress(OSError):
                remove_tree(order["draft"])
        return 3
    except (Failed, ValueError) as why:
        code = getattr(why.__cause__, "errno", None)
        answer = {"failed": str(why), "full": code in FULL}
    except OSError as error:
        answer = {"failed": _said(error, str(error.filename or "")), "full": error.errno in FULL}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
