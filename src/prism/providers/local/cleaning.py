"""Removes files of a home that are not needed.

None of them is a user's work: packages can be fetched again, environments whose setup never ended
are made anew by the next start, rotated logs are old. What is in use stays, and is reported.
"""

import fcntl
import logging
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from prism.agent.protocol import RESOLUTIONS, SHARED_SLOT, supervisor_pid
from prism.agent.protocol import TREE_FILE as TREE_RECORD
from prism.kit.clock import WallClock
from prism.providers.local import folder as folders
from prism.providers.local.storage.mounted_folders import StorageAway, workspace_folder
from prism.providers.local.storage.removals import LEFT_BEHIND
from prism.providers.local.storage.trees import measured, try_remove

log = logging.getLogger(__name__)
MACHINE = re.compile(r"local-[0-9a-f]{17}")
DRAFT_NAME = re.compile(r"\.local-[0-9a-f]{17}-[0-9a-f]{8}")
TURNED_OVER = re.compile(r".+\.log\.[0-9]+")
STATE_DRAFT = re.compile(r"\.backup-.+|state\.db\.restore-[a-z0-9_]{8}")
ASIDE = re.compile(r"\..+\.cleaned-[0-9a-f]{8}")
FINISHED = 600.0  # seconds after which a draft is abandoned
TREE_NAME = re.compile(r"[0-9a-f]{64}")
TREE_DRAFT = re.compile(r"[0-9a-f]{16}|\.[0-9a-f]{16}\.cleaned-[0-9a-f]{8}")
SLOT = re.compile(rf"[0-9]+|{SHARED_SLOT}")
RESOLUTION = re.compile(r"[0-9a-f]{64}\.json")
TREE_LOCK = re.compile(r"[0-9a-f]{64}\.lock")
KEPT_LOG_BYTES = 2**20  # bytes of the daemon's own log
ENDED_PHASES = {"off", "failed"}


class RemovableFiles(Struct, frozen=True, kw_only=True):
    """One kind of removable files; `in_use` are those that must stay."""

    kind: str
    bytes: int
    items: int
    in_use: Sequence[str] = ()


class Cleaner:
    """Cleans the home of one daemon; `alone` means that no daemon runs."""

    def __init__(self, home: Path, *, alone: bool = False) -> None:
        self._home, self._machines, self._alone = home, home / "workspaces", alone

    def clean(self, *, dry_run: bool) -> list[RemovableFiles]:
        """Each kind of removable files, with what was removed, or would be."""
        return [
            self._clean_cache(dry_run=dry_run),
            self._clean_trees(dry_run=dry_run),
            self._clean_logs(dry_run=dry_run),
            self._clean_environments(dry_run=dry_run),
            _remove_trees("leftover drafts", [*self._drafts()], dry_run=dry_run),
        ]

    def _clean_cache(self, *, dry_run: bool) -> RemovableFiles:
        """Fetched wheels; installations can neither run nor begin meanwhile."""
        cache = self._home / "cache"
        trees = [cache / "wheels", *_matching(cache, ASIDE)]
        with _all_slots(cache / "slots") as has_all:
            busy = [path.name for path in self._machine_folders() if _phase(path) == "starting"]
            if not has_all or busy:
                why = f"packages are being installed ({', '.join(busy) or 'a workspace'})"
                return RemovableFiles(kind="package cache", bytes=0, items=0, in_use=[why])
            return _remove_trees("package cache", trees, dry_run=dry_run)

    def _clean_trees(self, *, dry_run: bool) -> RemovableFiles:
        """Package trees that are unused or incomplete; all installation slots are held here."""
        cache, kind = self._home / "cache", "package trees"
        try:
            workspace_folder(self._machines).require()
        except StorageAway as away:  # they may use any of them
            return RemovableFiles(kind=kind, bytes=0, items=0, in_use=[away.message])
        with _all_slots(cache / "slots") as has_all:
            if not has_all:
                return RemovableFiles(
                    kind=kind, bytes=0, items=0, in_use=["packages are being installed"]
                )
            users = Counter(filter(None, map(folders.read_package_tree, self._machine_folders())))
            trees = _matching(cache / "trees", TREE_NAME)
            unused = [path for path in trees if path.name not in users]
            drafts = cache / "drafts"
            left = [*_matching(cache / "trees", ASIDE), *_matching(drafts, TREE_DRAFT)]
            removed = _remove_trees(kind, [*unused, *left], dry_run=dry_run)
            resolutions = _matching(cache / RESOLUTIONS, RESOLUTION)
            for path in () if dry_run else [*_matching(drafts, TREE_LOCK), *resolutions]:
                path.unlink()
        used = [path for path in trees if path.name in users]
        size = sum(_disk_usage(path) or 0 for path in used) >> 20
        why = f"{len(used)} with {size} MiB are used; workspaces that use them: {users.total()}"
        return replace(removed, in_use=[*removed.in_use, *([why] if used else [])])

    def _clean_logs(self, *, dry_run: bool) -> RemovableFiles:
        """Rotated logs, and all but the end of the daemon's own log."""
        old = [
            path
            for machine in self._machine_folders()
            for path in _matching(machine / "logs", TURNED_OVER)
        ]
        removed = _remove_trees("old logs", old, dry_run=dry_run)
        own = self._home / "daemon.log"
        over = own.stat().st_size - KEPT_LOG_BYTES if own.exists() else 0
        if over <= 0:
            return removed
        if not dry_run:
            _shorten(own)
        return RemovableFiles(
            kind=removed.kind, bytes=removed.bytes + over, items=removed.items + 1
        )

    def _clean_environments(self, *, dry_run: bool) -> RemovableFiles:
        """Environments of stopped workspaces whose setup never ended."""
        unused = [path / "venv" for path in self._machine_folders() if _is_unfinished(path)]
        left = [path for machine in self._machine_folders() for path in _matching(machine, ASIDE)]

        def before(tree: Path) -> None:  # the next start makes it, even if we die here
            if tree.name == "venv":
                (tree.parent / "environment.done").unlink(missing_ok=True)
                (tree.parent / TREE_RECORD).unlink(missing_ok=True)

        return _remove_trees("unused environments", [*unused, *left], before, dry_run=dry_run)

    def _drafts(self) -> Iterator[Path]:
        """Unfinished files of a daemon that died."""
        for draft in _matching(self._machines, DRAFT_NAME):
            if self._alone or _seconds_old(draft) > FINISHED:
                yield draft
        for draft in _matching(self._home, STATE_DRAFT):
            if _seconds_old(draft) > FINISHED:
                yield draft
        if self._alone:  # a daemon removes its own as soon as it starts
            for kind in ("volumes", "snapshots"):
                yield from _matching(self._home / "storage" / kind, LEFT_BEHIND)

    def _machine_folders(self) -> list[Path]:
        return _matching(self._machines, MACHINE)


def _remove_trees(
    kind: str,
    trees: Sequence[Path],
    before: Callable[[Path], None] = lambda _: None,
    *,
    dry_run: bool,
) -> RemovableFiles:
    """Measure these trees, and remove them unless it is a dry run."""
    size, count, stuck = 0, 0, []
    for tree in trees:
        if (usage := _disk_usage(tree)) is None:
            continue
        if not dry_run:
            before(tree)
            if not try_remove(_move_aside(tree)):
                stuck.append(f"{tree} cannot be removed yet")
                continue
        size, count = size + usage, count + 1
    return RemovableFiles(kind=kind, bytes=size, items=count, in_use=stuck)


def _move_aside(tree: Path) -> Path:
    """Rename it, so that nobody uses it half removed; on a full disk it keeps its name."""
    if ASIDE.fullmatch(tree.name):
        return tree
    name = f".{tree.name.lstrip('.')}.cleaned-{secrets.token_hex(4)}"
    try:
        return tree.rename(tree.with_name(name))
    except OSError as error:
        log.info("%s is removed where it is: %s", tree, error)
        return tree


def _disk_usage(tree: Path) -> int | None:
    """Bytes on the disk; None if it does not exist."""
    return measured(tree) if os.path.lexists(tree) else None


def _shorten(path: Path) -> None:
    """Keep only the end of a file to which another process may append meanwhile."""
    with path.open("r+b") as file:
        file.seek(-KEPT_LOG_BYTES, os.SEEK_END)
        end = file.read().partition(b"\n")[2]
        file.truncate(0)
    with path.open("ab") as file:
        file.write(end)


def _is_unfinished(machine: Path) -> bool:
    """Whether its packages were never complete; such an environment is made anew anyway."""
    is_down = _phase(machine) in ENDED_PHASES and not supervisor_pid(str(machine))
    return is_down and (machine / "venv").is_dir() and not (machine / "packages.done").exists()


def _phase(machine: Path) -> str:
    seen = folders.read_report(machine)
    return seen["phase"] if seen else "starting"


def _seconds_old(path: Path) -> float:
    try:
        return WallClock().now().timestamp() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0


def _matching(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        return sorted(folder / name for name in os.listdir(folder) if pattern.fullmatch(name))
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def _all_slots(folder: Path) -> Iterator[bool]:
    """Lock every free installation slot; yields whether those are all."""
    with ExitStack() as stack:
        has_all = True
        if folder.is_dir():  # also slots that were never used, and could be locked meanwhile
            for name in (SHARED_SLOT, *map(str, range(os.cpu_count() or 1))):
                (folder / name).touch(mode=0o600)
        for slot in _matching(folder, SLOT):
            file = stack.enter_context(slot.open("r+b"))
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                has_all = False
        yield has_all
