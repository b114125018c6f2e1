"""The user of a workspace if the daemon is privileged: each workspace gets its own uid.

Each running workspace has a uid of its own from `PRISM_UID_RANGE`, in a user namespace without
other ids. On the disk its files belong to the daemon's user: their mounts map one id to the other.
So copies, snapshots and shared volumes need no change of ownership, and another workspace can use
the same uid later.

Some file systems cannot map ids (overlayfs, NFS). There all workspaces share the first uid of the
range, and their files are given to that uid.
"""

import errno
import fcntl
import os
import signal
import socket
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from prism.agent.sandbox.bubblewrap import accelerators, is_of_the_system
from prism.agent.sandbox.handover import hand_over
from prism.agent.sandbox.installation_access import is_readable_by_all, let_group_read, unreadable
from prism.agent.system import syscalls
from prism.agent.system.kernel_limits import NO_LIMITS, limit_this_namespace, limits_of_a_workspace
from prism.agent.system.processes import LINUX

RANGE_VARIABLE, PROCESSES_VARIABLE = "PRISM_UID_RANGE", "PRISM_PIDS_MAX"
MOST_PROCESSES = 4096
DEFAULT_RANGE = "1879048192-1879113727"
"""Ids that neither Debian nor systemd assigns."""
USED_RANGES = Path("/run/prism/uids")
"""A file with one locked byte for each uid in use, shared by all daemons of this computer."""
LOGIN = "researcher"
"""The name of the user inside the sandbox."""
UNLIMITED_IDS = 4294967295


class NoIdentity(Exception):
    """A workspace cannot get its own user; the message says why."""


class CannotMap(NoIdentity):
    """A file system does not map ids."""


class UidRange(NamedTuple):
    """The uids, and gids, that workspaces may have."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "UidRange":
        """The range `FIRST-LAST`; raises `ValueError` if it is not one of ordinary users."""
        first, last = (int(part) for part in text.split("-"))
        if not 0 < first <= last < UNLIMITED_IDS:
            raise ValueError(text)
        return cls(first, last)

    @property
    def own(self) -> "UidRange":
        """The range without its first id, which is for workspaces that share a user."""
        return UidRange(min(self.first + 1, self.last), self.last)

    @classmethod
    def configured(cls) -> "UidRange":
        """The range that the daemon has passed on."""
        return cls.parse(os.environ.get(RANGE_VARIABLE) or DEFAULT_RANGE)


def is_privileged() -> bool:
    """Whether this process may run a workspace as another user, and therefore must."""
    if not LINUX or os.geteuid() != 0:
        return False
    return bool(effective_capabilities() >> syscalls.CAP_SYS_ADMIN & 1)


def effective_capabilities() -> int:
    """The capabilities of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def processes_allowed() -> int:
    """How many processes and threads a workspace may have, as passed on by the daemon."""
    return int(os.environ.get(PROCESSES_VARIABLE) or MOST_PROCESSES)


def login() -> str:
    """The name of the user that programs of a workspace see."""
    if LINUX and os.geteuid() == 0:
        return LOGIN
    return os.environ.get("USER") or os.environ.get("LOGNAME") or LOGIN


class Leases:
    """The uids that this process has reserved; the kernel frees them when the process ends."""

    def __init__(self, path: Path = USED_RANGES) -> None:
        self._path, self._file = path, -1

    def take(self, among: UidRange, preferred: int) -> int:
        """A free uid, the first at or after the preferred one."""
        size = among.last - among.first + 1
        for n in range(size):
            uid = among.first + (preferred + n) % size
            if self._lock(uid, fcntl.LOCK_EX | fcntl.LOCK_NB):
                return uid
        raise NoIdentity(f"all {size} ids of {RANGE_VARIABLE} are in use; give it a larger range")

    def give_back(self, uid: int) -> None:
        """Free the uid."""
        self._lock(uid, fcntl.LOCK_UN)

    def is_free(self, uid: int) -> bool:
        """Whether no process has reserved the uid; not for one that this process has reserved."""
        if not self._lock(uid, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return False
        self._lock(uid, fcntl.LOCK_UN)
        return True

    def _lock(self, uid: int, how: int) -> bool:
        # A record lock ends when its process closes the file anywhere, so the file is opened once
        # and never closed.
        if self._file < 0:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self._path, flags, 0o600)
        try:
            fcntl.lockf(self._file, how, 1, uid)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EAGAIN}:
                return False
            raise
        return True


LEASES = Leases()


class TreeOwner(NamedTuple):
    """The owner of a tree on the disk."""

    uid: int
    gid: int


def can_make_namespaces() -> bool:
    """Whether a workspace's user can get a namespace of its own: not in a chroot, for example."""
    uid = UidRange.configured().first
    try:
        os.close(user_namespace(uid, TreeOwner(uid, uid), closed=True))
    except OSError:
        return False
    return True


class SandboxUser:
    """The uid of one workspace, or of all, and the mounts through which it owns its files."""

    def __init__(self, preferred: int, leases: Leases = LEASES, *, shared: bool = False) -> None:
        self._leases, self._maps = leases, dict[TreeOwner, int]()
        self.shared, self.namespace = shared, -1
        among = UidRange.configured()
        if not uids_exist_here(among):
            ids = f"{among.first}-{among.last}"
            raise NoIdentity(
                f"{RANGE_VARIABLE} is {ids}, and these ids do not exist in this container"
            )
        try:
            self.uid = among.first if shared else leases.take(among.own, preferred)
        except OSError as error:
            raise NoIdentity(f"{USED_RANGES} cannot be used: {error.strerror}") from error
        try:
            self.limits = limits_of_a_workspace() if shared else NO_LIMITS
            own, counters = TreeOwner(self.uid, self.uid), self.limits.counters
            self.namespace = user_namespace(self.uid, own, closed=True, counters=counters)
        except OSError as error:
            self.close()
            raise NoIdentity(f"no user namespace can be made: {error.strerror}") from error
        self.groups = accelerator_groups()

    def detached_mount(self, path: str, *, may_chown: bool = True, again: bool = False) -> int:
        """A detached mount of a path, in which its owner's files belong to the workspace.

        If ids cannot be mapped, the owner of the tree is changed, or with `may_chown=False` this
        raises. If this was done to the whole tree before, `again` does it no second time.
        """
        if self.shared:
            if not may_chown:
                raise NoIdentity(unreadable(path))
            if not (again and os.stat(path).st_uid == self.uid):
                self.give(path)
        tree = syscalls.detached(path)
        attributes = syscalls.ATTRIBUTE_NO_SUID | syscalls.ATTRIBUTE_NO_DEVICES
        try:
            if self.shared:
                syscalls.set_attributes(tree, attributes)
            else:
                attributes |= syscalls.ATTRIBUTE_ID_MAP
                syscalls.set_attributes(tree, attributes, self._map_of(tree))
        except OSError as error:
            os.close(tree)
            if syscalls.is_unsupported(error):
                why = f"the file system of {path} cannot map ids ({error.strerror})"
                raise CannotMap(f"{why}; put PRISM_HOME on ext4, XFS or btrfs") from error
            raise
        return tree

    def readable_mount(self, path: str) -> int | None:
        """A detached mount of an installed tree, in which the workspace can read all of its files.

        Some of them may be readable by their owner alone, such as what was installed with the
        umask 077. None for a tree of the system, and where ids cannot be mapped: there the
        workspace may read the files themselves, for which it can get a group.
        """
        readable = is_readable_by_all(path)
        if readable and (self.shared or is_of_the_system(path)):
            return None
        try:
            if not self.shared:
                return self.detached_mount(path)
        except CannotMap:
            if readable:
                return None
        readers = UidRange.configured().first  # the group; no workspace with its own uid has it
        try:
            let_group_read(path, readers)
        except OSError as error:
            raise NoIdentity(unreadable(path)) from error
        if readers not in self.groups:
            self.groups.append(readers)
        return None

    def give(self, path: str) -> None:
        """Change the owner of a tree on the disk, if ids cannot be mapped."""
        hand_over(path, self.uid)

    def _map_of(self, tree: int) -> int:
        """The namespace in which the owner of a tree is this uid."""
        about = os.fstat(tree)
        owner = TreeOwner(about.st_uid, about.st_gid)
        if owner not in self._maps:
            self._maps[owner] = user_namespace(self.uid, owner)
        return self._maps[owner]

    def close(self) -> None:
        """Free the uid."""
        for namespace in (self.namespace, *self._maps.values()):
            if namespace >= 0:
                os.close(namespace)
        self.namespace, self._maps = -1, {}
        if not self.shared:
            self._leases.give_back(self.uid)


def user_namespace(
    uid: int, inside: TreeOwner, *, closed: bool = False, counters: Mapping[str, int] | None = None
) -> int:
    """A user namespace in which `inside` is that uid, and no other user exists.

    The uid makes it, so the kernel charges this uid for what is counted in it. If it is `closed`,
    no other user namespace can be made in it. `counters` are limits of `kernel_limits.py`.
    """
    ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        ours.close()
        limits = {**(counters or {}), **({"max_user_namespaces": 0} if closed else {})}
        _hold_namespace(theirs, uid, limits)
    theirs.close()
    try:
        _, opened, _, _ = socket.recv_fds(ours, 1, 1)
        if not opened:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        os.set_inheritable(opened[0], False)
        try:
            Path(f"/proc/{child}/uid_map").write_text(f"{inside.uid} {uid} 1")
            Path(f"/proc/{child}/gid_map").write_text(f"{inside.gid} {_group_of(uid)} 1")
        except OSError:
            os.close(opened[0])
            raise
        return opened[0]
    finally:
        ours.close()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _group_of(uid: int) -> int:
    return os.getgid() if uid == os.geteuid() else uid


def _hold_namespace(parent: socket.socket, uid: int, limits: Mapping[str, int]) -> None:
    """In the child process: make a namespace, pass it on, and run until killed."""
    try:
        is_another = uid != os.geteuid()
        if is_another:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        syscalls.unshare(syscalls.NEW_USER)
        # In addition to the filter of system calls, if `/proc/sys` is writable.
        limit_this_namespace(limits)
        if not is_another:  # an ordinary user may map its group only then
            Path("/proc/self/setgroups").write_text("deny")
        namespace = os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        socket.send_fds(parent, [b"1"], [namespace])
        parent.recv(1)
    finally:
        os._exit(1)


def accelerator_groups() -> list[int]:
    """The groups that may use the graphics cards of this computer, except root's own."""
    groups = set()
    for path in accelerators():
        for device in _devices_of(path):
            about = os.stat(device)
            if stat.S_ISCHR(about.st_mode) and about.st_mode & 0o060 == 0o060:
                groups.add(about.st_gid)
    return sorted(groups - {0})


def _devices_of(path: str) -> Iterable[str]:
    return [f"{path}/{name}" for name in os.listdir(path)] if os.path.isdir(path) else [path]


def uids_exist_here(among: UidRange) -> bool:
    """Whether all these uids and gids exist in our own namespace."""
    for kind in ("uid_map", "gid_map"):
        lines = Path(f"/proc/self/{kind}").read_text().splitlines()
        rows = [tuple(map(int, line.split())) for line in lines]
        if not any(row[0] <= among.first and among.last < row[0] + row[2] for row in rows):
            return False
    return True
