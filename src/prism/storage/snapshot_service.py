"""Requests about snapshots, and the backup of a workspace that is destroyed."""

from collections.abc import Callable

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.access.plan import visible
from prism.errors import NotFound, ValidationFailed
from prism.kit.clock import whole
from prism.kit.db import Tx
from prism.kit.ids import sortable_id
from prism.storage import store, view
from prism.storage.events import SnapshotAsked, about
from prism.storage.model import (
    AttachmentHost,
    BeingCopied,
    NameOfWorkspace,
    NewSnapshot,
    NewVolume,
    NoRollback,
    NoSnapshots,
    NoVerification,
    RestoreRequest,
    Snapshot,
    SnapshotExists,
    SnapshotInUse,
    SnapshotItem,
    SnapshotOrigin,
    SnapshotSource,
    SnapshotState,
    StorageObserved,
    StorageState,
    StorageVerb,
    VerifyRequest,
    Volume,
    VolumeKind,
    VolumeState,
)
from prism.storage.plan import (
    is_being_made,
    require_unreserved,
    snapshot_state,
    volume_state,
    with_request,
)
from prism.storage.service import Shown, StorageService, names


class SnapshotService(StorageService):
    """Requests of one user about volumes and snapshots."""

    def snapshots(self) -> list[SnapshotItem]:
        """All snapshots that the caller may see, the oldest first."""
        with self._db.read() as sql:
            known = names(sql)
            snapshots = [
                snapshot
                for snapshot in store.every(sql, Snapshot)
                if visible(snapshot.project, snapshot.owner)
            ]
            return [view.snapshot(snapshot, known, self._sources) for snapshot in snapshots]

    def snapshot(self, name: str) -> SnapshotItem:
        """The snapshot with that name or id."""
        with self._db.read() as sql:
            return view.snapshot(store.named(sql, Snapshot, name), names(sql), self._sources)

    def take(self, request: NewSnapshot) -> SnapshotItem:
        """Request a snapshot of a volume, or of a workspace's root disk."""
        if (request.volume is None) == (request.instance is None):
            raise ValidationFailed.of(("volume", "name either a volume or an instance"))
        with self._db.write() as tx:
            if request.volume is not None:
                source = store.named(tx.sql, Volume, request.volume)
                snapshot = self._from_volume(tx.sql, request.name, source)
            else:
                host = self._hosts.named(tx.sql, request.instance or "")
                _require_disk(host)
                snapshot = self._from_host(request.name, host)
            snapshot = replace(snapshot, verify_every=request.verify)
            if request.verify is not None:
                self._require_verifiable(snapshot)
            self._add_snapshot(tx, snapshot)
            return view.snapshot(snapshot, names(tx.sql), self._sources)

    def take_again(self, tx: Tx, source: str, source_id: str, name: str) -> Snapshot:
        """Request a snapshot of a volume or workspace, which its permanent id names."""
        if source == "volume":
            if not (volumes := store.by_ids(tx.sql, Volume, [source_id])):
                raise store.not_found(Volume, source_id)
            snapshot = self._from_volume(tx.sql, name, volumes[0])
        else:
            if (host := self._hosts.of(tx.sql, [source_id]).get(source_id)) is None:
                raise StorageState("The workspace does not exist any more")
            _require_disk(host)
            snapshot = self._from_host(name, host)
        self._add_snapshot(tx, snapshot)
        return snapshot

    def fetch(
        self, name: str, location: str, origin: SnapshotOrigin, source: SnapshotSource
    ) -> SnapshotItem:
        """Request a snapshot with the data of a copy elsewhere."""
        now = self._clock.now()
        snapshot = Snapshot(
            id=sortable_id("snapshot", now),
            name=name,
            owner=self._actor(),
            location=location,
            source=source.source,
            source_id=source.source_id,
            source_name=source.source_name,
            kind=source.kind,
            size_gb=source.size_gb,
            volume_type=source.volume_type,
            iops=source.iops,
            throughput=source.throughput,
            gb_month=self._offer(location).gb_month("snapshot"),
            origin=origin,
            created_at=whole(source.taken_at),
        )
        with self._db.write() as tx:
            self._add_snapshot(tx, snapshot)
            return view.snapshot(snapshot, names(tx.sql), self._sources)

    def verify(self, name: str, request: VerifyRequest) -> SnapshotItem:
        """Request a verification now; `every` also changes how often Prism verifies it."""
        with self._db.write() as tx:
            snapshot = store.named(tx.sql, Snapshot, name)
            require_completed(snapshot, "verified")
            self._require_verifiable(snapshot)
            after = replace(snapshot, verify_generation=snapshot.verify_generation + 1)
            if request.every is not None:
                period = None if request.every == "never" else request.every
                after = replace(after, verify_every=period)
            self._changes.apply(tx, snapshot, after, self._snapshot_event("verify"))
            return view.snapshot(after, names(tx.sql), self._sources)

    def _require_verifiable(self, snapshot: Snapshot) -> None:
        if why := self._offer(snapshot.location).no_verification():
            raise NoVerification(f"Snapshot {snapshot.name!r} cannot be verified", details=why)

    def usable(self, sql: Connection, name: str, done: str) -> Snapshot:
        """A completed snapshot whose files can become those of a workspace, or the refusal."""
        snapshot = store.named(sql, Snapshot, name)
        require_completed(snapshot, done)
        if why := self._offer(snapshot.location).no_rollback():
            raise NoRollback(
                f"No workspace can be {done} the snapshot {snapshot.name!r}",
                details=why,
                remediation="Make a volume of it, and attach that: "
                f"`prism snapshot restore {snapshot.name} VOLUME`",
            )
        return snapshot

    def before_rollback(self, tx: Tx, host: AttachmentHost) -> Snapshot:
        """Request a snapshot of a workspace's files, once it is off; it must fit the caps.

        Rollbacks can be repeated without end, unlike the end of a workspace.
        """
        name = self._free_name(tx.sql, f"{host.name}-before-rollback")
        snapshot = self._from_host(name, host, holds=True)
        self._add_snapshot(tx, snapshot, must_fit=True)
        return snapshot

    def release(self, tx: Tx, id: str) -> None:
        """Its workspace does not wait for this snapshot any more."""
        for snapshot in store.by_ids(tx.sql, Snapshot, [id]):
            self._changes.apply(tx, snapshot, replace(snapshot, holds=False))

    def restore(self, name: str, request: RestoreRequest) -> Shown:
        """Request a new volume from a snapshot."""
        require_unreserved(request.name)
        with self._db.write() as tx:
            snapshot = store.named(tx.sql, Snapshot, name)
            require_completed(snapshot, "restored")
            self._require_no_workspace(tx.sql, request.name, snapshot)
            volume = self._restored_volume(snapshot, request.name)
            self.add(tx, volume)
            return self._view(tx.sql, volume)

    def _require_no_workspace(self, sql: Connection, name: str, snapshot: Snapshot) -> None:
        """Raise if the name of the new volume is that of a workspace, which would not change."""
        try:
            host = self._hosts.named(sql, name)
        except NotFound:
            return
        if host.ended or host.name != name:
            return
        back = f"Bring the files of {name} back: `prism rollback {name} {snapshot.name}`; "
        own = (snapshot.source, snapshot.source_id) == ("workspace", host.id)
        volume = f"choose another name for the volume: `prism snapshot restore {snapshot.name} "
        volume += f"{name}-copy`"
        raise NameOfWorkspace(
            f"{name!r} is a workspace, and a restore makes a new volume",
            details="nothing was changed",
            remediation=f"{back}or {volume}" if own else volume[0].upper() + volume[1:],
        )

    def delete_snapshot(self, name: str) -> str:
        """Request the deletion of a snapshot; its name."""
        with self._db.write() as tx:
            snapshot = store.named(tx.sql, Snapshot, name)
            self.delete_row(tx, snapshot)
            return snapshot.name

    def delete_row(self, tx: Tx, snapshot: Snapshot) -> None:
        """Request the deletion of a snapshot, unless that was done; raises if it is in use."""
        if snapshot.verb is not StorageVerb.DELETE:
            _require_unused(tx.sql, snapshot)
            doomed = with_request(snapshot, StorageVerb.DELETE)
            self._changes.apply(tx, snapshot, doomed, self._snapshot_event("delete"))

    def require_not_being_copied(
        self, sql: Connection, workspace: str, name: str, verb: str
    ) -> None:
        """Raise if `verb` would interrupt a snapshot of a workspace's disk.

        A snapshot before the workspace's own end (`holds`) does not count: the request cancels it.
        """
        for snapshot in store.snapshots_of(sql, workspace):
            if is_being_made(snapshot) and not snapshot.holds and snapshot.origin is None:
                raise BeingCopied(
                    f"Workspace {name!r} is being copied",
                    details=f"{verb} would interrupt its snapshot {snapshot.name!r}",
                    remediation="Wait until `prism snapshot list` shows it as completed, or give "
                    f"it up: `prism snapshot delete {snapshot.name}`",
                    data={"snapshot": snapshot.name},
                )

    def backup(self, tx: Tx, host: AttachmentHost, *, keep: bool) -> Snapshot | None:
        """Copy a workspace's root disk before it is destroyed; if not `keep`, cancel that.

        Another request retries a copy that failed; a complete copy is not made twice.
        """
        backup = store.pending_backup(tx.sql, host.id)
        if backup is None:
            if not keep or host.machine is None or store.backed_up(tx.sql, host.id):
                return None
            name = self._free_name(tx.sql, f"{host.name}-backup")
            snapshot = self._from_host(name, host, holds=True)
            self._add_snapshot(tx, snapshot)
            return snapshot
        if not keep:
            self._changes.apply(tx, backup, replace(backup, holds=False))
        elif backup.observed is StorageObserved.BROKEN:
            self._changes.apply(tx, backup, with_request(backup))
        return backup

    def _from_volume(self, sql: Connection, name: str, source: Volume) -> Snapshot:
        state = volume_state(source, store.attachments_of(sql, [source.id])[source.id])
        unfit = {VolumeState.CREATING, VolumeState.ERROR, VolumeState.DELETING}
        if state in unfit:
            raise StorageState(
                f"Volume {source.name!r} is {state}",
                remediation=f"Look at it with `prism volume show {source.name}`",
                data={"state": state},
            )
        now, offer = self._clock.now(), self._offer(source.location)
        if why := offer.no_copies(source.kind):
            raise NoSnapshots(f"There can be no snapshot of {source.name!r}", details=why)
        return Snapshot(
            id=sortable_id("snapshot", now),
            name=name,
            owner=self._actor(),
            location=source.location,
            project=source.project,
            source="volume",
            source_id=source.id,
            source_name=source.name,
            kind=source.kind,
            size_gb=source.size_gb,
            volume_type=source.volume_type,
            iops=source.iops,
            throughput=source.throughput,
            gb_month=offer.gb_month("snapshot"),
            created_at=whole(now),
        )

    def _from_host(self, name: str, host: AttachmentHost, *, holds: bool = False) -> Snapshot:
        now, offer = self._clock.now(), self._offer(host.location)
        if why := offer.no_copies(VolumeKind.EBS):
            raise NoSnapshots(f"There can be no snapshot of {host.name!r}", details=why)
        return Snapshot(
            id=sortable_id("snapshot", now),
            name=name,
            owner=self._actor(),
            location=host.location,
            project=host.project,
            source="workspace",
            source_id=host.id,
            source_name=host.name,
            kind=VolumeKind.EBS,
            size_gb=host.root_gb,
            volume_type=host.root_type,
            gb_month=offer.gb_month("snapshot"),
            holds=holds,
            created_at=whole(now),
        )

    def _restored_volume(self, snapshot: Snapshot, name: str) -> Volume:
        request = NewVolume(
            type=snapshot.kind,
            name=name,
            size_gb=snapshot.size_gb,
            volume_type=snapshot.volume_type,
            iops=snapshot.iops,
            throughput=snapshot.throughput,
        )
        offer, location = self._offer(snapshot.location), snapshot.location
        return self._new_volume(request, offer, location, snapshot.project, snapshot.id)

    def _add_snapshot(self, tx: Tx, snapshot: Snapshot, *, must_fit: bool = False) -> None:
        require_unreserved(snapshot.name)
        if self._is_taken(tx.sql, Snapshot, snapshot.name):
            raise SnapshotExists(
                f"A snapshot called {snapshot.name!r} already exists",
                remediation="Use `prism snapshot list` to see available snapshots",
            )
        event = self._snapshot_event("create")
        self._changes.add(tx, snapshot, event, backup=snapshot.holds and not must_fit)

    def _free_name(self, sql: Connection, name: str) -> str:
        number, free = 1, name
        while self._is_taken(sql, Snapshot, free):
            number += 1
            free = f"{name}-{number}"
        return free

    def _snapshot_event(self, verb: str) -> Callable[[Snapshot], SnapshotAsked]:
        return lambda snapshot: SnapshotAsked(
            **about(snapshot), actor=self._actor(), verb=verb, state=snapshot_state(snapshot)
        )


def _require_disk(host: AttachmentHost) -> None:
    """Raise if a workspace has no disk to copy."""
    if host.machine is None or host.ended:
        raise StorageState(
            f"Workspace {host.name!r} has no disk to copy",
            details="it is being terminated" if host.ended else "it has no machine yet",
            remediation="Use `prism workspace list` to see available workspaces",
        )


def require_completed(snapshot: Snapshot, done: str) -> None:
    """Raise if a snapshot is not complete; `done` is what was to be done with it."""
    if (state := snapshot_state(snapshot)) is not SnapshotState.COMPLETED:
        raise StorageState(
            f"Snapshot {snapshot.name!r} is {state}",
            details=f"only a completed one can be {done}",
            remediation="Look at it with `prism snapshot list`",
            data={"state": state},
        )


def _require_unused(sql: Connection, snapshot: Snapshot) -> None:
    """Raise if a workspace waits for a snapshot, or a volume is being made from it."""
    backup = store.pending_backup(sql, snapshot.source_id) if snapshot.holds else None
    if backup is not None and backup.id == snapshot.id:
        raise SnapshotInUse(
            f"Workspace {snapshot.source_name!r} waits for the snapshot {snapshot.name!r}",
            details="it is destroyed, or rolled back, once its snapshot is complete",
            remediation="Wait until that is done; or, before its end, skip the snapshot: "
            f"`prism workspace terminate {snapshot.source_name}`",
        )
    for volume in store.volumes_from(sql, snapshot.id):
        if is_being_made(volume):
            raise SnapshotInUse(
                f"Volume {volume.name!r} is being made from the snapshot {snapshot.name!r}",
                remediation=f"Look at it with `prism volume show {volume.name}`",
            )
