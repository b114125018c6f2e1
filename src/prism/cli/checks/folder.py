"""The home: its folder, the disk below it, and what lies in it."""

import fcntl
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prism.cli.checks.world import Finding, World, broken, ok, skipped, warning
from prism.client.templates import Templates
from prism.client.workspaces import Workspaces

GIB = 2**30
FULL, TIGHT = GIB // 2, 5 * GIB
FEW_INODES, TOO_FEW_INODES = 50_000, 2_000
DISTANT = re.compile(r"(nfs\d?|cifs|smb\d?|smbfs|9p|afs|vboxsf|fuse\.(sshfs|s3fs|gcsfuse|rclone))")
MACHINE = re.compile(r"local-[0-9a-f]{17}")
LOCALLY = "Choose a home on a disk of this machine: export PRISM_HOME=/var/tmp/prism-$USER"
LATE = 2.0  # seconds that a file may seem to be from the future


def home(world: World) -> Finding:
    """The folder, which nobody else may enter."""
    folder = world.home
    if not folder.exists():
        return _to_be_made(folder)
    if not folder.is_dir():
        return broken(f"{folder} is not a folder", "Move it away, or choose another PRISM_HOME")
    about = folder.stat()
    if about.st_uid != os.geteuid():
        said = f"{folder} belongs to the user {about.st_uid}"
        return broken(said, "Choose another one with PRISM_HOME")
    if about.st_mode & 0o077:
        said = f"other users of this computer have access to {folder}"
        return broken(said, f"chmod 700 {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        return broken(f"{folder} cannot be written to", f"chmod 700 {folder}")
    return ok(str(folder))


def _to_be_made(folder: Path) -> Finding:
    above = _nearest(folder)
    if not os.access(above, os.W_OK | os.X_OK):
        said = f"{folder} cannot be made: {above} is not yours to write to"
        return broken(said, "Choose another one with PRISM_HOME")
    return ok(f"{folder}; the first command makes it")


def file_system(world: World) -> Iterator[Finding]:
    """What is below the home must lock, link and rename, and let programs run."""
    kind, options = _mount(world)
    if "noexec" in options:
        yield broken("no program may run there (noexec)", LOCALLY)
    if "ro" in options:
        yield broken("it is read-only", LOCALLY)
    if DISTANT.fullmatch(kind):
        yield warning(f"{kind} is on another machine: slow, and its locks may not work", LOCALLY)
    if kind in {"tmpfs", "ramfs"}:
        yield warning(f"{kind} is in memory: workspaces are lost after a reboot", LOCALLY)
    if (refusal := _refusal(world.home)) is not None:
        yield broken(refusal, LOCALLY)
    elif not world.home.is_dir():
        yield skipped(f"{kind or 'unknown'}; checked after the first start")
    else:
        yield ok(f"{kind or 'unknown'}: locks, links and renames work")


def disk(world: World) -> Finding:
    """What is left for workspaces."""
    free = shutil.disk_usage(_nearest(world.home)).free
    said = f"{free / GIB:.1f} GiB free"
    fix = (
        "Free space (`prism clean`), terminate workspaces (`prism list`), or choose another "
        "PRISM_HOME"
    )
    if free < FULL:
        return broken(said, fix)
    return warning(f"{said}; an environment takes up to 5", fix) if free < TIGHT else ok(said)


def inodes(world: World) -> Finding:
    """How many files there may still be."""
    filesystem = os.statvfs(_nearest(world.home))
    if not filesystem.f_files:
        return ok("no limit")
    said = f"{filesystem.f_favail:,} files left"
    fix = "Remove what consists of many files, or choose another PRISM_HOME"
    if filesystem.f_favail < TOO_FEW_INODES:
        return broken(said, fix)
    return warning(said, fix) if filesystem.f_favail < FEW_INODES else ok(said)


def unix_socket(world: World) -> Finding:
    """The socket that commands use, which nobody else may open."""
    path = Path(world.place.socket)
    note = "" if path.parent == world.home else " (the home's path is too long for a socket)"
    if path.parent.exists():
        above = path.parent.lstat()
        if above.st_uid != os.geteuid() or not stat.S_ISDIR(above.st_mode):
            return broken(f"{path.parent} is not yours", f"Remove it: rm -r {path.parent}")
        if above.st_mode & 0o077:
            return broken(f"other users have access to {path.parent}", f"chmod 700 {path.parent}")
    if not path.exists():
        return ok(f"{path}{note}; the daemon makes it")
    about = path.lstat()
    if not stat.S_ISSOCK(about.st_mode):
        return broken(f"{path} is no socket", f"rm {path}")
    if about.st_mode & 0o077:
        return broken(f"other users may open {path}", f"chmod 600 {path}")
    return ok(f"{path}{note}")


def clock(world: World) -> Iterator[Finding]:
    """Whether everybody agrees on the time."""
    now = world.now()
    fix = "sudo timedatectl set-ntp true"
    if now < 1.7e9:
        yield broken("this machine's clock is years behind: certificates will be rejected", fix)
        return
    if (written := _written_at(world.home)) is not None and abs(written - world.now()) > LATE:
        late = written - world.now()
        yield warning(f"the file system of the home is {late:+.0f} s off", fix)
    if world.daemon_time is not None and abs(world.daemon_time - now) > 60:
        late = world.daemon_time - now
        yield warning(f"the daemon's clock is {late:+.0f} s off this one's", fix)
        return
    asked = ["system", *(["files"] if written else []), *(["daemon"] if world.status else [])]
    yield ok(f"the same for {', '.join(asked)}")


def templates(world: World) -> Iterator[Finding]:
    """Those of your own, and ours."""
    if world.status is None:
        count = len([*(world.home / "templates").glob("*.y*ml")])
        yield skipped(f"{count} of your own; the daemon checks them: `prism template validate`")
        return
    found = world.ask(Templates.validate)
    for result in found["validation_results"]:
        if result["status"] != "valid":
            issue = next(iter(result["issues"]), {"where": "", "message": "it is not valid"})
            said = f"{result['template']}: {issue['message']} ({issue['where']})"
            yield broken(said, "Correct it; all that is wrong: `prism template validate`")
    yield ok(f"{found['validated']} of {found['total_templates']} are valid")


def orphans(world: World) -> Iterator[Finding]:
    """Folders of workspaces that no workspace knows."""
    place = world.home / "workspaces"
    folders = {path.name for path in place.glob("local-*") if MACHINE.fullmatch(path.name)}
    if not folders:
        yield ok("no folder without a workspace")
        return
    if world.status is None:
        yield skipped(f"{len(folders)} folders; the daemon knows whose they are")
        return
    ids = {workspace["id"] for workspace in world.ask(Workspaces.list)}
    coming = None in ids  # one that has no id yet may be the owner
    lost = [] if coming else sorted(n for n in folders - ids if not _over(place / n))
    for name in lost:
        said = f"{place / name} belongs to no workspace of this database"
        yield warning(said, f"Save what you need of it, then: rm -r {place / name}")
    if not lost:
        yield ok("no folder without a workspace")


def _over(folder: Path) -> bool:
    try:
        return '"gone"' in (folder / "seen.json").read_text()
    except OSError:
        return False


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _mount(world: World) -> tuple[str, set[str]]:
    """The kind of file system below the home, and how it is mounted."""
    at, best = str(_nearest(world.home).resolve()), ("", "", "")
    for line in (world.kernel("proc/self/mountinfo") or "").splitlines():
        front, _, back = line.partition(" - ")
        words = front.split()
        point = words[4].replace("\\040", " ")
        below = at == point or at.startswith(point.rstrip("/") + "/")
        if below and len(point) >= len(best[0]):
            best = (point, back.split()[0], words[5])
    return best[1], set(best[2].split(","))


def _refusal(folder: Path) -> str | None:
    """What a file system cannot do, found by doing it."""
    if not folder.is_dir():
        return None
    for what, try_it in {"lock": _lock, "link": _link, "rename": _rename, "listen": _bind}.items():
        try:
            with _trial(folder) as place:
                try_it(place)
        except OSError as error:
            return f"it cannot {what} files there: {error.strerror}"
    return None


@contextmanager
def _trial(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=".d", dir=folder) as place:
        (Path(place) / "a").touch()
        yield Path(place)


def _lock(place: Path) -> None:
    with (place / "a").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _link(place: Path) -> None:
    os.link(place / "a", place / "b")
    os.symlink("a", place / "c")


def _rename(place: Path) -> None:
    (place / "b").touch()
    (place / "b").replace(place / "a")


def _bind(place: Path) -> None:
    if len(os.fsencode(path := str(place / "s"))) < 100:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)


def _written_at(folder: Path) -> float | None:
    """What time a file in there gets that is written now."""
    try:
        with _trial(folder) as place:
            return (place / "a").stat().st_mtime
    except OSError:
        return None
