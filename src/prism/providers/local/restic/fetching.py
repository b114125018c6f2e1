"""Fetches a snapshot from a destination into a draft, where it is compared with its manifest.

A destination may be made to do harm: only a folder `data` and a file `manifest.json` are taken
from it, nothing in them is followed, and the draft is in a folder that only the daemon can enter.
"""

import stat
from collections.abc import Callable
from pathlib import Path

from prism.agent.protocol import CopyTask
from prism.providers.local.restic.access import RepositoryAccess, Started
from prism.providers.local.restic.failures import RepositoryFailed
from prism.providers.local.storage.tree_snapshots import TreeSnapshotFailed
from prism.storage.model import SnapshotOrigin, StorageFailure

RECEIVED, MANIFEST = "received.json", "manifest.json"


def receive(
    data: Path,
    origin: SnapshotOrigin,
    access: RepositoryAccess,
    started: Started,
    progress: Callable[[int], object],
) -> None:
    """Write a copy into the folder `data` of a draft, and its manifest beside it."""
    draft = data.parent
    try:
        repository = access.open(origin.destination, origin.profile, started).repository
        repository.unlock()
        paths = (f"/{data.name}", f"/{MANIFEST}")
        repository.restore(origin.remote_id, draft, paths, lambda done, _: progress(done))
    except RepositoryFailed as why:
        raise TreeSnapshotFailed(why.failure.message, failure=why.failure) from why
    _require(data, stat.S_ISDIR)
    _require(draft / MANIFEST, stat.S_ISREG)
    (draft / MANIFEST).rename(draft / RECEIVED)


def check_task(draft: Path) -> CopyTask:
    """The task of the program that compares a draft with the manifest that came with it."""
    return {
        "do": "check",
        "source": str(draft / "data"),
        "expected": str(draft / RECEIVED),
        "manifest": str(draft / MANIFEST),
        "draft": str(draft),
    }


def _require(path: Path, is_expected: Callable[[int], bool]) -> None:
    """Raise if what was received is missing or of another type; a link is of another type."""
    try:
        mode = path.stat(follow_symlinks=False).st_mode
    except FileNotFoundError:
        mode = 0
    if not is_expected(mode):
        message = f"The copy has no {path.name}: Prism did not make it, or it was changed"
        raise TreeSnapshotFailed(message, failure=StorageFailure("COPY_DAMAGED", message))
