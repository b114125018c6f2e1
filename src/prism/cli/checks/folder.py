"""The home: its folder, its disk, and its content."""

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

from prism.cli.checks.context import CheckContext, Finding, broken, ok, skipped, warning
from prism.client.templates import Templates
from prism.client.workspaces import Workspaces
from prism.home import HomeNotTrusted, check_folders_above
from prism.settings import Settings, uids, variable

GIB = 2**30
MIN_FREE_BYTES, TIGHT = GIB // 2, 5 * GIB
FEW_INODES, TOO_FEW_INODES = 50_000, 2_000
DISTANT = re.compile(r"(nfs\d?|cifs|smb\d?|smbfs|9p|afs|vboxsf|fuse\.(sshfs|s3fs|gcsfuse|rclone))")
MACHINE = re.compile(r"local-[0-9a-f]{17}")
LOCALLY = "Choose a home on a disk of this machine: export PRISM_HOME=/var/tmp/prism-$USER"
LATE = 2.0  # seconds by which a file's time may be in the future


def home(context: CheckContext) -> Finding:
    """The home's folder, which no other user may enter."""
    folder = context.home
    if not folder.exists():
        return _missing_home(folder)
    if not folder.is_dir():
        return broken(f"{folder} is not a folder", "Move it away, or choose another PRISM_HOME")
    about = folder.stat()
    if about.st_uid != os.geteuid():
        message = f"{folder} belongs to the user {about.st_uid}"
        return broken(message, "Choose another one with PRISM_HOME")
    if _admits_others(context, folder):
        message = f"other users of this computer have access to {folder}"
        return broken(message, f"chmod 700 {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        return broken(f"{folder} cannot be written to", f"chmod 700 {folder}")
    return _replaceable(folder) or ok(str(folder))


def _replaceable(folder: Path) -> Finding | None:
    """Whether another user can put something else in the place of the home."""
    try:
        check_folders_above(str(folder))
    except HomeNotTrusted as problem:
        message = f"{problem.message[0].lower()}{problem.message[1:]} {problem.details}"
        return warning(message, problem.remediation or "")
    return None


def _admits_others(context: CheckContext, folder: Path) -> bool:
    """Whether others may enter a folder; a workspace without a sandbox may pass through it."""
    if not folder.stat().st_mode & 0o077:
        return False
    from prism.agent.system.access_lists import admits_others  # noqa: PLC0415  cold start: rarely needed

    ids = uids(context.environ.get(variable("uid_range")) or Settings().uid_range)
    return os.geteuid() != 0 or admits_others(str(folder), lambda uid: uid in ids)


def _missing_home(folder: Path) -> Finding:
    above = _nearest_existing(folder)
    if not os.access(above, os.W_OK | os.X_OK):
        message = f"{folder} cannot be made: {above} is not writable for you"
        return broken(message, "Choose another one with PRISM_HOME")
    return ok(f"{folder}; the first command makes it")


def file_system(context: CheckContext) -> Iterator[Finding]:
    """The file system of the home must lock, link and rename files, and run programs."""
    kind, options = _mount(context)
    if "noexec" in options:
        yield broken("no program may run there (noexec)", LOCALLY)
    if "ro" in options:
        yield broken("it is read-only", LOCALLY)
    if DISTANT.fullmatch(kind):
        yield warning(f"{kind} is on another machine: slow, and its locks may not work", LOCALLY)
    if kind in {"tmpfs", "ramfs"}:
        yield warning(f"{kind} is in memory: workspaces are lost after a reboot", LOCALLY)
    if (refusal := _refusal(context.home)) is not None:
        yield broken(refusal, LOCALLY)
    elif not context.home.is_dir():
        yield skipped(f"{kind or 'unknown'}; checked after the first start")
    else:
        yield ok(f"{kind or 'unknown'}: locks, links and renames work")


def disk(context: CheckContext) -> Finding:
    """The disk space that is left for workspaces."""
    free = shutil.disk_usage(_nearest_existing(context.home)).free
    text = f"{free / GIB:.1f} GiB free"
    fix = (
        "Free space (`prism clean`), terminate workspaces (`prism list`), or choose another "
        "PRISM_HOME"
    )
    if free < MIN_FREE_BYTES:
        return broken(text, fix)
    return warning(f"{text}; an environment takes up to 5", fix) if free < TIGHT else ok(text)


def inodes(context: CheckContext) -> Finding:
    """How many more files the file system can hold."""
    filesystem = os.statvfs(_nearest_existing(context.home))
    if not filesystem.f_files:
        return ok("no limit")
    message = f"{filesystem.f_favail:,} files left"
    fix = "Remove what consists of many files, or choose another PRISM_HOME"
    if filesystem.f_favail < TOO_FEW_INODES:
        return broken(message, fix)
    return warning(message, fix) if filesystem.f_favail < FEW_INODES else ok(message)


def unix_socket(context: CheckContext) -> Finding:
    """The socket that commands use, which no other user may open."""
    path = Path(context.address.socket)
    note = "" if path.parent == context.home else " (the home's path is too long for a socket)"
    if path.parent.exists():
        above = path.parent.lstat()
        if above.st_uid != os.geteuid() or not stat.S_ISDIR(above.st_mode):
            return broken(f"{path.parent} is not yours", f"Remove it: rm -r {path.parent}")
        if _admits_others(context, path.parent):
            return broken(f"other users have access to {path.parent}", f"chmod 700 {path.parent}")
    if not path.exists():
        return ok(f"{path}{note}; the daemon makes it")
    about = path.lstat()
    if not stat.S_ISSOCK(about.st_mode):
        return broken(f"{path} is not a socket", f"rm {path}")
    if about.st_mode & 0o077:
        return broken(f"other users may open {path}", f"chmod 600 {path}")
    return ok(f"{path}{note}")


def clock(context: CheckContext) -> Iterator[Finding]:
    """Whether this computer, its file system and the daemon have the same time."""
    now = context.now()
    fix = "sudo timedatectl set-ntp true"
    if now < 1.7e9:
        yield broken("this machine's clock is years behind: certificates will be rejected", fix)
        return
    if (written := _written_at(context.home)) is not None and abs(written - context.now()) > LATE:
        late = written - context.now()
        yield warning(f"the file system of the home is {late:+.0f} s off", fix)
    if context.daemon_time is not None and abs(context.daemon_time - now) > 60:
        late = context.daemon_time - now
        yield warning(f"the daemon's clock is {late:+.0f} s off this one's", fix)
        return
    clocks = ["system", *(["files"] if written else []), *(["daemon"] if context.status else [])]
    yield ok(f"the same for {', '.join(clocks)}")


def templates(context: CheckContext) -> Iterator[Finding]:
    """Whether all templates are valid, your own and the built-in ones."""
    if context.status is None:
        count = len([*(context.home / "templates").glob("*.y*ml")])
        yield skipped(f"{count} of your own; the daemon checks them: `prism template validate`")
        return
    answer = context.ask(Templates.validate)
    for result in answer["validation_results"]:
        if result["status"] != "valid":
            issue = next(iter(result["issues"]), {"where": "", "message": "it is not valid"})
            message = f"{result['template']}: {issue['message']} ({issue['where']})"
            yield broken(message, "Correct it; all that is wrong: `prism template validate`")
    yield ok(f"{answer['validated']} of {answer['total_templates']} are valid")


def orphans(context: CheckContext) -> Iterator[Finding]:
    """Folders of workspaces that are not in the database."""
    workspaces = context.home / "workspaces"
    folders = {path.name for path in workspaces.glob("local-*") if MACHINE.fullmatch(path.name)}
    if not folders:
        yield ok("no folder without a workspace")
        return
    if context.status is None:
        yield skipped(f"{len(folders)} folders; the daemon knows whose they are")
        return
    ids = {workspace["id"] for workspace in context.ask(Workspaces.list)}
    coming = None in ids  # a workspace without an id yet may own the folder
    orphaned = [] if coming else sorted(n for n in folders - ids if not _is_gone(workspaces / n))
    for name in orphaned:
        message = f"{workspaces / name} belongs to no workspace of this database"
        yield warning(message, f"Save what you need of it, then: rm -r {workspaces / name}")
    if not orphaned:
        yield ok("no folder without a workspace")


def _is_gone(folder: Path) -> bool:
    try:
        return '"gone"' in (folder / "seen.json").read_text()
    except OSError:
        return False


def _nearest_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _mount(context: CheckContext) -> tuple[str, set[str]]:
    """The type of the home's file system, and its mount options."""
    at, best = str(_nearest_existing(context.home).resolve()), ("", "", "")
    for line in (context.kernel("proc/self/mountinfo") or "").splitlines():
        front, _, back = line.partition(" - ")
        words = front.split()
        point = words[4].replace("\\040", " ")
        below = at == point or at.startswith(point.rstrip("/") + "/")
        if below and len(point) >= len(best[0]):
            best = (point, back.split()[0], words[5])
    return best[1], set(best[2].split(","))


def _refusal(folder: Path) -> str | None:
    """A feature that the file system lacks, found by a test; None if it lacks none."""
    if not folder.is_dir():
        return None
    for verb, try_it in {"lock": _lock, "link": _link, "rename": _rename, "listen": _bind}.items():
        try:
            with _trial_folder(folder) as trial:
                try_it(trial)
        except OSError as error:
            return f"it cannot {verb} files there: {error.strerror}"
    return None


@contextmanager
def _trial_folder(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=".d", dir=folder) as trial:
        (Path(trial) / "a").touch()
        yield Path(trial)


def _lock(trial: Path) -> None:
    with (trial / "a").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _link(trial: Path) -> None:
    os.link(trial / "a", trial / "b")
    os.symlink("a", trial / "c")


def _rename(trial: Path) -> None:
    (trial / "b").touch()
    (trial / "b").replace(trial / "a")


def _bind(trial: Path) -> None:
    if len(os.fsencode(path := str(trial / "s"))) < 100:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)


def _written_at(folder: Path) -> float | None:
    """The time that the file system gives to a file that is written now."""
    try:
        with _trial_folder(folder) as trial:
            return (trial / "a").stat().st_mtime
    except OSError:
        return None
