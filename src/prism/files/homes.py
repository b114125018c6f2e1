"""File operations in homes of workspaces, and their events."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from prism.files.events import Action, FilesChanged
from prism.files.model import FileChange, FileMissing, FolderListing, UploadInProgress
from prism.files.plan import checked
from prism.files.ports import FileReader, Files, FileWriter
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.workspaces.events import about
from prism.workspaces.model import Workspace, WorkspaceState
from prism.workspaces.plan import elsewhere, not_running
from prism.workspaces.read_model import ReadModel

ENDING_STATES = {WorkspaceState.TERMINATING, WorkspaceState.TERMINATED}


class HomeFiles:
    """Operates on files in the homes of workspaces, through their providers."""

    def __init__(
        self,
        read_model: ReadModel,
        db: Database,
        clock: Clock,
        actor: Callable[[], str],
        files: Mapping[str, Files],
    ) -> None:
        self._read_model, self._db, self._clock = read_model, db, clock
        self._actor, self._files = actor, files
        self._uploads: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def list(self, name: str, path: str, limit: int) -> FolderListing:
        """The entries of a folder, sorted by name."""
        path = checked(path, home=True)
        workspace, files, machine = self._resolve(name)
        scan = files.scan(machine, path, limit)
        entries = tuple(sorted(scan.entries, key=lambda entry: entry.name))
        return FolderListing(
            instance_name=workspace.name, path=path, entries=entries, truncated=scan.truncated
        )

    def open(self, name: str, path: str) -> FileReader:
        """Open a file to read; the caller closes it."""
        path = checked(path)
        _, files, machine = self._resolve(name)
        return files.open(machine, path)

    def begin(self, name: str, path: str, offset: int, *, replace: bool) -> FileWriter:
        """Open a file to write at an offset; the caller closes it."""
        path = checked(path)
        _, files, machine = self._resolve(name)
        return files.begin(machine, path, offset, replace=replace)

    @contextmanager
    def uploading(self, name: str, path: str) -> Iterator[Workspace]:
        """Lock a file against other uploads."""
        workspace, _, machine = self._resolve(name)
        key = (machine, checked(path))
        with self._lock:
            if key in self._uploads:
                raise UploadInProgress(details=path, remediation="Wait until it has ended")
            self._uploads.add(key)
        try:
            yield workspace
        finally:
            with self._lock:
                self._uploads.discard(key)

    def uploaded(self, workspace: Workspace, path: str) -> None:
        """Record that a file was uploaded."""
        self._record(workspace, "uploaded", checked(path))

    def make_folder(self, name: str, path: str) -> FileChange:
        """Make a folder and its parents."""
        path = checked(path)
        workspace, files, machine = self._resolve(name)
        files.make_folder(machine, path)
        self._record(workspace, "folder_created", path)
        return FileChange(instance_name=workspace.name, path=path, message="Folder created")

    def rename(self, name: str, path: str, to: str) -> FileChange:
        """Rename or move a file or folder."""
        path, to = checked(path), checked(to, "to")
        workspace, files, machine = self._resolve(name)
        files.rename(machine, path, to)
        self._record(workspace, "renamed", path, to)
        return FileChange(instance_name=workspace.name, path=to, message="Renamed")

    def remove(self, name: str, path: str, *, recursive: bool) -> FileChange:
        """Remove a file, or a folder."""
        path = checked(path)
        workspace, files, machine = self._resolve(name)
        files.remove(machine, path, recursive=recursive)
        self._record(workspace, "removed", path)
        return FileChange(instance_name=workspace.name, path=path, message="Removed")

    def _record(
        self, workspace: Workspace, action: Action, path: str, to: str | None = None
    ) -> None:
        event = FilesChanged(
            **about(workspace), actor=self._actor(), action=action, path=path, to=to
        )
        with self._db.write() as tx:
            tx.happened(event)

    def _resolve(self, name: str) -> tuple[Workspace, Files, str]:
        """The workspace, its provider's files, and its machine id; raises if there are none."""
        cached = self._read_model.pages.named(name)
        workspace = cached.workspace
        if cached.state in ENDING_STATES:
            raise not_running(workspace)
        if workspace.machine_id is None:
            raise FileMissing(
                f"Workspace {workspace.name!r} has no files yet",
                details=f"it is {cached.state}",
                remediation=f"Look at it with `prism workspace show {workspace.name}`",
            )
        if (files := self._files.get(workspace.location)) is None:
            raise elsewhere(workspace)
        if cached.state is not WorkspaceState.RUNNING and not files.asleep:
            raise not_running(workspace)
        return workspace, files, workspace.machine_id
