"""Moves a home to another folder or disk: `python -m prism.daemon.home_move DEST`.

The home is copied, and the copy is compared with it. Then the old folder gets another name, and a
link to the new one takes its place. So whatever names the old path finds the new home, and the old
one can be put back.
"""

import argparse
import filecmp
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from prism.agent.protocol import supervisor_pid
from prism.daemon.answer import print_answer
from prism.daemon.backups import exclusive
from prism.errors import Conflict, Invalid, NotFound, Unavailable
from prism.home import check_owner
from prism.kit.clock import WallClock
from prism.providers.local.location import RECORD, read_record
from prism.settings import Settings

LOST_AND_FOUND = "lost+found"  # a new disk has this folder
LOCK = "daemon.lock"
BY_HAND = (
    "Move it by hand: `prism stop --all`, `prism daemon stop`, "
    "`rsync -aHAX --numeric-ids {home}/ {dest}/`, then set PRISM_HOME there and start the daemon"
)


class HomeInUse(Conflict, code="HOME_IN_USE"):
    """Workspaces of the home run, so it cannot be moved."""


class CopyDiffers(Unavailable, code="COPY_DIFFERS"):
    """The copy of the home is not equal to it."""


def move(settings: Settings, dest: str, now: datetime) -> dict[str, Any]:
    """Move the home to `dest`; returns where the old one is kept."""
    home = settings.folder
    if ":" in dest:
        by_hand = BY_HAND.format(home=shlex.quote(str(home)), dest=shlex.quote(dest))
        raise Invalid(f"{dest} is on another computer", remediation=by_hand)
    new = replace(settings, home=dest)
    Settings.read({"PRISM_HOME": dest})  # refuses a path that a daemon would refuse
    if read_record(home) is None:
        raise NotFound(f"{home} is not a home of Prism", remediation="Set PRISM_HOME")
    with exclusive(settings):
        _require_ended(home)
        _require_free(home, new.folder)
        try:
            _copy(home, new.folder)
            _require_equal(home, new.folder)
        except BaseException:
            _empty(new.folder)
            raise
        old_home = _switch(home, new.folder, now)
        return {"home": str(home), "dest": str(new.folder), "kept": str(old_home)}


def _require_ended(home: Path) -> None:
    """Raise if a supervisor runs, whose workspace would end with the move."""
    running = [path.name for path in home.glob("workspaces/local-*") if supervisor_pid(str(path))]
    if running:
        raise HomeInUse(
            f"{len(running)} workspaces of {home} run",
            details=f"their machines: {', '.join(sorted(running))}",
            remediation="Stop them: `prism stop --all`; then `prism daemon stop`",
        )


def _require_free(home: Path, dest: Path) -> None:
    """Raise if the destination is not empty, or has no room."""
    if dest == home or home in dest.parents or dest in home.parents:
        raise Invalid(f"{dest} and {home} lie in each other", remediation="Choose another folder")
    check_owner(str(dest))
    dest.mkdir(mode=0o700, parents=True, exist_ok=True)
    if names := {*os.listdir(dest)} - {LOST_AND_FOUND}:
        raise Conflict(
            f"{dest} is not empty",
            details=f"it has {', '.join(sorted(names)[:5])}",
            remediation="Choose a folder that does not exist yet",
        )
    needed, free = _used(home), shutil.disk_usage(dest).free
    if needed > free:
        raise Conflict(
            f"{dest} has too little space",
            details=f"the home has {needed >> 20} MiB, and {free >> 20} MiB are free there",
            remediation="Free space first: `prism clean`",
        )


def _used(folder: Path) -> int:
    """The bytes that the files of a folder take on the disk."""
    done = subprocess.run(
        ["du", "-sxk", "--", str(folder)], capture_output=True, text=True, check=False
    )
    return int(done.stdout.split()[0]) * 1024 if done.stdout else 0


def _copy(home: Path, dest: Path) -> None:
    """Copy everything with owners, times, attributes and hard links, and sync it."""
    # The identity first: a copy that is incomplete is refused while the original exists.
    shutil.copy2(home / RECORD, dest / RECORD)
    command = ["cp", "-a", "--reflink=auto", "--", f"{home}/.", str(dest)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["cp says nothing"]
        path, _, reason = lines[0].rpartition(": ")  # the reason first: the path may be very long
        raise Unavailable(
            "The home was not copied, and is where it was",
            details=f"{reason}: {path}" if path else reason,
            remediation="Correct that, then run the command again",
        )
    os.sync()


def _require_equal(home: Path, dest: Path) -> None:
    """Raise if the copy lacks something, or differs in content, kind, owner or mode."""
    for name in _differences(home, dest):
        raise CopyDiffers(
            f"The copy differs in {name}; the home is where it was",
            details="the file changed during the copy, or the disk does not keep what is written",
            remediation="See that nothing uses the home, and check the disk; then try again",
        )


def _differences(home: Path, dest: Path) -> Iterator[str]:
    """The paths in which two trees differ, relative to them."""
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(home / folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if path in {LOCK, LOST_AND_FOUND}:
                continue
            if not _is_equal(home / path, dest / path):
                yield path
            elif entry.is_dir(follow_symlinks=False):
                pending.append(path)


def _is_equal(path: Path, copy: Path) -> bool:
    """Whether two entries are equal, apart from what is in a folder."""
    try:
        first, second = path.lstat(), copy.lstat()
    except FileNotFoundError:
        return False
    if (first.st_mode, first.st_uid, first.st_gid) != (
        second.st_mode,
        second.st_uid,
        second.st_gid,
    ):
        return False
    if stat.S_ISLNK(first.st_mode):
        return os.readlink(path) == os.readlink(copy)
    if stat.S_ISREG(first.st_mode):
        return first.st_size == second.st_size and filecmp.cmp(path, copy, shallow=False)
    return True


def _switch(home: Path, dest: Path, now: datetime) -> Path:
    """Give the old home another name, and put a link in its place; the new name."""
    old_home = home.with_name(f"{home.name}.before-move-{now:%Y%m%dT%H%M%S}")
    try:
        home.rename(old_home)
    except OSError as error:  # it is a mount point, or its folder cannot be written to
        record, given_up = home / RECORD, home / f"{RECORD}.moved"
        record.rename(given_up)
        back = f"`mv {shlex.quote(str(given_up))} {shlex.quote(str(record))}`"
        raise Conflict(
            f"The home was copied to {dest}, but {home} cannot be renamed",
            details=f"{error.strerror}; both are complete and equal",
            remediation=f"Use the new one: `export PRISM_HOME={shlex.quote(str(dest))}`. To go "
            f"back: {back}",
        ) from error
    try:
        home.symlink_to(dest)
    except OSError:
        old_home.rename(home)
        raise
    return old_home


def _empty(dest: Path) -> None:
    """Remove an incomplete copy."""
    for entry in dest.iterdir():
        if entry.name == LOST_AND_FOUND:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def main(words: Sequence[str] | None = None) -> int:
    """Move the home of this environment; prints the result or the error."""
    parser = argparse.ArgumentParser(prog="prism.daemon.home_move")
    parser.add_argument("dest")
    dest = parser.parse_args(words).dest
    return print_answer("move", lambda: move(Settings.load(), dest, WallClock().now()))


if __name__ == "__main__":
    sys.exit(main())
