"""Replaces the home of a machine that is off by a copy of a snapshot.

The copy is made in the machine's folder, compared with the snapshot's manifest, and only then
takes the place of the home, by two renames. If the daemon dies in between, the next call goes on.
"""

import logging
import os
import re
import stat
import threading
from contextlib import suppress
from pathlib import Path

from prism.agent.protocol import replace_file
from prism.providers.local import folder as folders
from prism.providers.local.storage.tree_snapshots import SnapshotWork, TreeSnapshots
from prism.providers.local.storage.trees import try_remove
from prism.storage.model import StorageFailure
from prism.workspaces.ports import ProviderRefused

log = logging.getLogger(__name__)
TOKEN_FILE = "replaced-by"  # in the machine's folder: the token of the last replacement
REPLACEMENT_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,80}")
SNAPSHOT = re.compile(r"snap-[0-9a-f]{17}")


class FilesNotReplaced(ProviderRefused, code="FILES_NOT_REPLACED"):
    """The copy of a snapshot failed; the home is as before."""


class FileReplacements:
    """The replacements of one home's machines; the copies are made in the background."""

    def __init__(self, snapshots: Path) -> None:
        self._snapshots, self._copies = snapshots, TreeSnapshots()

    def advance(self, folder: Path, snapshot: str, token: str) -> bool:
        """Go on with the replacement in a machine's folder; returns whether it is done."""
        if not SNAPSHOT.fullmatch(snapshot) or not REPLACEMENT_TOKEN.fullmatch(token):
            raise FilesNotReplaced(f"There is no snapshot {snapshot} here")
        draft = folder / f"replacement-{token}"
        if _read(folder / TOKEN_FILE) == token:
            return True
        if draft.is_dir():
            _exchange(folder, draft)
            replace_file(folder / TOKEN_FILE, token.encode(), durable=True)
            remove = threading.Thread(target=try_remove, args=(draft,), daemon=True)
            remove.start()
            return True
        id = draft.name
        key, failure = self._copies.state().get(id, (None, None))
        if failure is not None:
            self._copies.forget(id)
            raise _refusal(failure)
        if key is None:
            self._begin(folder, draft, snapshot, token)
        return False

    def close(self) -> None:
        """Stop the copies; the next daemon begins them anew."""
        self._copies.close()

    def _begin(self, folder: Path, draft: Path, snapshot: str, token: str) -> None:
        source = self._snapshots / snapshot / "data"
        if not source.is_dir():
            raise FilesNotReplaced(f"There is no snapshot {snapshot} here")
        for left in (*folder.glob("replacement-*"), *folder.glob(".replacement-*")):
            try_remove(left)
        manifest = source.with_name("manifest.json")
        expected = manifest if manifest.exists() else None
        self._copies.begin(SnapshotWork(draft, source, {"key": token}, expected=expected))


def _exchange(folder: Path, draft: Path) -> None:
    """Move the home into the draft, and the draft's data to its place."""
    home, data = folder / "home", draft / "data"
    if not data.is_dir():  # it is the home already
        return
    if home.exists():
        status = home.stat()
        os.chmod(data, stat.S_IMODE(status.st_mode))
        with suppress(PermissionError):  # of an ordinary user, all files have one owner
            os.chown(data, status.st_uid, status.st_gid)
        number = sum(1 for _ in draft.glob("home-*"))
        home.rename(draft / f"home-{number}")
    data.rename(home)
    folders.sync(folder)


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _refusal(failure: StorageFailure) -> FilesNotReplaced:
    return FilesNotReplaced(failure.message)
