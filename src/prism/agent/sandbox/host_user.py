"""The user of a workspace of a root daemon without a sandbox: a uid of this computer.

There is no namespace that could map ids or hide folders. So the files of the workspace belong to
its uid on the disk, and the folders above them let that uid pass (`access_lists.py`). Everything
else on this computer is as open to it as to any other user.
"""

import os
import signal
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from prism.agent.sandbox.identity import (
    LEASES,
    RANGE_VARIABLE,
    Leases,
    NoIdentity,
    UidRange,
    accelerator_groups,
    effective_capabilities,
    uids_exist_here,
)
from prism.agent.sandbox.installation_access import is_readable_by_all, let_group_read, unreadable
from prism.agent.sandbox.sandbox_layers import within
from prism.agent.system import access_lists, own_files
from prism.agent.system.processes import LINUX

# What root needs to run programs as another user, and to work on that user's files.
NEEDED = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
}
SHARED_VOLUME = "fs-"
ENTERED_BY_WORKSPACES = ("workspaces", "storage/volumes")
"""The folders of a home in which each entry is for one workspace, or for some."""
CANNOT_BECOME = 255  # the exit code of a child
READABLE, ENTERED = os.R_OK, os.R_OK | os.X_OK


def is_root() -> bool:
    """Whether this process runs as root, so that a workspace must run as somebody else."""
    return LINUX and os.geteuid() == 0


def missing_capabilities(have: int) -> list[str]:
    """The capabilities that root lacks to give a workspace a user of its own."""
    return [name for name, bit in NEEDED.items() if not have >> bit & 1]


class HostUser:
    """The uid of one running workspace, and what it may enter."""

    namespace = -1
    shared = False

    def __init__(self, preferred: int, leases: Leases = LEASES) -> None:
        self._leases, self._range = leases, UidRange.configured()
        self._entered: list[str] = []  # folders that let it pass
        self._volumes: set[str] = set()
        # The group is for Prism's installation, if only its owner can read it.
        self.groups = [*accelerator_groups(), self._range.first]
        if missing := missing_capabilities(effective_capabilities()):
            raise NoIdentity(
                f"root lacks {', '.join(missing)} here, without which no program can run as "
                "another user; give the container these capabilities"
            )
        if not uids_exist_here(self._range):
            ids = f"{self._range.first}-{self._range.last}"
            raise NoIdentity(
                f"{RANGE_VARIABLE} is {ids}, and these ids do not exist in this container"
            )
        try:
            self.uid = leases.take(self._range.own, preferred)
        except OSError as error:
            raise NoIdentity(f"a user id cannot be reserved: {error.strerror}") from error
        end_processes(self.uid)  # of a workspace whose supervisor was killed

    def open(
        self, home: str, own: Sequence[str], readable: Iterable[str], volumes: Iterable[str]
    ) -> list[str]:
        """Give it these trees, and let it reach `readable`; raises `NoIdentity` if it cannot.

        `home` is Prism's. The answer is which folders outside of it let it pass from now on.
        """
        try:
            own_files.give(own, self.uid, self._is_of_a_workspace)
            close_entries(home, own)
            close_leftovers(home, self.uid)
            self._let_pass(own)
            self._let_pass(readable := [path for path in readable if os.path.exists(path)])
            for path in volumes:
                self.open_volume(path)
            for path in readable:
                if not is_readable_by_all(path):
                    let_group_read(path, self._range.first)
        except OSError as error:
            where = error.filename or "a folder"
            raise NoIdentity(
                f"{where} cannot be opened to another user ({error.strerror}); put PRISM_HOME and "
                "Prism itself into folders that every user may enter"
            ) from error
        if unreachable := self._first_unreachable([*own, *readable]):
            raise NoIdentity(unreadable(unreachable))
        return [folder for folder in self._entered if not within(folder, home)]

    def give(self, path: str) -> None:
        """Make it the owner of a tree."""
        own_files.give([path], self.uid, self._is_of_a_workspace)

    def open_volume(self, path: str) -> None:
        """Let it read and write a volume; one of a single workspace then belongs to it."""
        if is_shared_volume(path):
            own_files.change_all([path], own_files.is_file_or_folder, self._share)
        else:
            self.give(path)
        self._let_pass([path])
        self._volumes.add(path)

    def close_volume(self, path: str) -> None:
        """Let it no longer enter a volume."""
        self._volumes.discard(path)
        closed = os.path.dirname(path)
        access_lists.revoke_search(closed, self.uid)
        self._entered = [folder for folder in self._entered if folder != closed]
        if is_shared_volume(path):  # the next one may run in a sandbox, which maps one owner
            own_files.give([path], os.geteuid(), lambda owner: owner == self.uid)

    def close(self) -> None:
        """End what still runs as this uid, close the folders again, and free the uid."""
        end_processes(self.uid)
        for path in list(self._volumes):
            with suppress(OSError):
                self.close_volume(path)
        for folder in self._entered:
            with suppress(OSError):
                access_lists.revoke_search(folder, self.uid)
        self._entered = []
        self._leases.give_back(self.uid)

    def _share(self, file: int) -> None:
        access_lists.share(file, self.uid, self._is_stale)

    def _let_pass(self, paths: Iterable[str]) -> None:
        for folder in closed_above(paths):
            if folder not in self._entered:
                access_lists.grant_search(folder, self.uid, self._is_stale)
                self._entered.append(folder)

    def _is_of_a_workspace(self, owner: int) -> bool:
        """Whether files of this owner, in a tree of the workspace, are the workspace's."""
        return owner == os.geteuid() or self._range.first <= owner <= self._range.last

    def _is_stale(self, uid: int) -> bool:
        """Whether an entry is of a workspace that does not run any more."""
        among = self._range
        return among.first <= uid <= among.last and uid != self.uid and self._leases.is_free(uid)

    def _first_unreachable(self, paths: Sequence[str]) -> str | None:
        """The first of these that it cannot read, tried as this user."""

        def look() -> int:
            for number, path in enumerate(paths):
                if not os.access(path, ENTERED if os.path.isdir(path) else READABLE):
                    return number + 1
            return 0

        number = as_user(self.uid, look, self.groups)
        if number == CANNOT_BECOME:
            raise NoIdentity(f"no program can run as uid {self.uid} here")
        return paths[number - 1] if number else None


def as_user(uid: int, work: Callable[[], int], groups: Sequence[int] = ()) -> int:
    """Call a function in a child that runs as this user; its answer, or `CANNOT_BECOME`."""
    child = os.fork()
    if not child:
        code = CANNOT_BECOME
        try:
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def end_processes(uid: int) -> None:
    """End every process of a uid that no other program of this computer uses."""

    def kill() -> int:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        return 0

    as_user(uid, kill)


def end_leftovers(uid: int, leases: Leases = LEASES) -> None:
    """End the processes of a uid, unless a workspace that runs has it."""
    if not is_root():
        return
    with suppress(NoIdentity, OSError):
        leases.take(UidRange(uid, uid), 0)
        end_processes(uid)
        leases.give_back(uid)


def close_entries(home: str, paths: Iterable[str]) -> None:
    """Close to others what is in Prism's folders above these paths.

    Until now nobody else could reach it: the home was closed.
    """
    above = {str(parent) for path in paths for parent in Path(path).parents}
    for folder in (folder for folder in above if within(folder, home)):
        with os.scandir(folder) as entries:
            for entry in entries:
                mode = 0 if entry.is_symlink() else entry.stat(follow_symlinks=False).st_mode
                if mode & stat.S_IRWXO:
                    os.chmod(entry.path, stat.S_IMODE(mode) & ~stat.S_IRWXO)


def close_leftovers(home: str, uid: int) -> None:
    """Close what an earlier workspace with this uid could enter, if nobody did when it ended.

    Its supervisor was killed, or the computer was restarted.
    """
    for part in ENTERED_BY_WORKSPACES:
        with suppress(FileNotFoundError), os.scandir(os.path.join(home, part)) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    access_lists.revoke_search(entry.path, uid)


def closed_above(paths: Iterable[str]) -> list[str]:
    """The folders above these paths, and above where their links lead, that others may not enter.

    The outermost come first.
    """
    above = {
        str(parent)
        for path in paths
        for name in (os.path.abspath(path), os.path.realpath(path))
        for parent in Path(name).parents
    }
    return [folder for folder in sorted(above) if not os.stat(folder).st_mode & stat.S_IXOTH]


def is_shared_volume(path: str) -> bool:
    """Whether several workspaces may have this volume at once."""
    return os.path.basename(os.path.dirname(path)).startswith(SHARED_VOLUME)
