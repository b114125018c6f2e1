"""Lists and recovers volumes and snapshots without a row; never waits for a provider."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

from sqlalchemy import Connection

from prism.errors import Problem
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.money import amount
from prism.profiles.providers import traits_of
from prism.projects import store as projects
from prism.recovery import store
from prism.recovery.model import RecoveredStorage, SkippedOrphan, StorageOrphan
from prism.recovery.storage_scanner import StorageScanner, UnknownStorage, kind_of
from prism.storage import store as storage
from prism.storage.changes import StorageChanges
from prism.storage.events import SnapshotAsked, VolumeAsked, VolumeAttached, about
from prism.storage.model import Attachment, DiskType, Snapshot, StorageOffer, Volume, VolumeKind
from prism.storage.plan import gigabytes, monthly_cost, snapshot_state, volume_state
from prism.storage.ports import Disk, ProviderSnapshot, StorageMetadata
from prism.workspaces import store as workspaces
from prism.workspaces.model import Workspace

NO_METADATA = StorageMetadata()
StorageRow = Volume | Snapshot


class StorageRecovery:
    """The operator's requests about volumes and snapshots without a row."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        scanners: Iterable[StorageScanner],
        offer: Callable[[str], StorageOffer],
        actor: Who,
        *,
        changes: StorageChanges,
    ) -> None:
        self._db, self._clock, self._scanners = db, clock, scanners
        self._offer, self._actor = offer, actor
        self._changes = changes

    def orphans(self) -> list[StorageOrphan]:
        """All of them, as of the last surveys."""
        return [self._view(unknown) for unknown in self._unknown()]

    def recover(
        self, *, everybody: bool, dry: bool
    ) -> tuple[list[RecoveredStorage], list[SkippedOrphan]]:
        """Make rows of yours, each in one transaction; what was left, and why."""
        taken: list[RecoveredStorage] = []
        left: list[SkippedOrphan] = []
        for unknown in self._unknown():
            known = unknown.resource.known or NO_METADATA
            if why := self._why_left(unknown, known, everybody=everybody):
                left.append(SkippedOrphan(unknown.resource.id, known.name or None, why))
                continue
            try:
                taken += self._take(unknown, known, dry=dry)
            except Problem as problem:  # one that cannot be rebuilt is no reason to leave the rest
                left.append(
                    SkippedOrphan(unknown.resource.id, known.name or None, problem.message)
                )
        return taken, left

    def _unknown(self) -> list[UnknownStorage]:
        return [unknown for scanner in self._scanners for unknown in scanner.orphans()]

    def _take(
        self, unknown: UnknownStorage, known: StorageMetadata, *, dry: bool
    ) -> list[RecoveredStorage]:
        with self._db.write() as tx:
            if unknown.resource.key in store.known_storage(tx.sql):
                return []  # somebody was faster
            row, notes = self._row(tx.sql, unknown, known)
            if not dry:
                self._store(tx, row, unknown.resource)
        taken = RecoveredStorage(
            kind=kind_of(unknown.resource),
            name=row.name,
            id=unknown.resource.id,
            owner=row.owner,
            place=row.location,
            notes=notes,
        )
        return [taken]

    def _why_left(
        self, unknown: UnknownStorage, known: StorageMetadata, *, everybody: bool
    ) -> str | None:
        """Why it is not recovered: several installations of Prism may share an account."""
        if unknown.resource.removed_by:
            return (
                "it is another one with the same tags, and costs money too; to remove it: "
                f"`{unknown.resource.removed_by}`"
            )
        is_ours = known.owner.lower() == self._actor().lower()
        if traits_of(unknown.location).shared and not is_ours and not everybody:
            owner = known.owner or "somebody unknown"
            return f"{owner} made it; to recover it: `prism recover --everybody`"
        if kind_of(unknown.resource) == "ebs" and known.size_gb is None:
            return "its description contains no size"
        return None

    def _store(self, tx: Tx, row: StorageRow, resource: Disk | ProviderSnapshot) -> None:
        """Store the row, start its costs, and record the event."""
        fields: dict[str, Any] = {**about(row), "actor": self._actor(), "verb": "recover"}
        if isinstance(row, Snapshot):
            copied = SnapshotAsked(**fields, state=snapshot_state(row))
            self._changes.add(tx, row, lambda _: copied, backup=True)
            return
        hosts = _hosts(tx.sql, resource) if isinstance(resource, Disk) else []
        attachments = [
            Attachment(
                volume=row.id,
                workspace=workspace.id,
                name=workspace.name,
                attached=True,
                machine=workspace.machine_id,
            )
            for workspace in hosts
        ]
        event = VolumeAsked(**fields, state=volume_state(row, attachments))
        self._changes.add(tx, row, lambda _: event, backup=True)  # what is there is never refused
        for attachment, workspace in zip(attachments, hosts, strict=True):
            storage.save_wanted(tx, attachment)
            instance = {"instance": workspace.name, "instance_project": workspace.project}
            now = {**about(row), "actor": self._actor(), "workspace": workspace.id, **instance}
            tx.happened(VolumeAttached(**now))

    def _row(
        self, sql: Connection, unknown: UnknownStorage, known: StorageMetadata
    ) -> tuple[StorageRow, tuple[str, ...]]:
        """The rebuilt row, and notes about what could not be rebuilt."""
        notes, offer, resource = [], self._offer(unknown.location), unknown.resource
        project = projects.find(sql, known.project) if known.project else None
        if known.project and project is None:
            notes.append(f"project {known.project!r} does not exist: no budget pays for it")
        table = storage.snapshots if isinstance(resource, ProviderSnapshot) else storage.volumes
        own_name = known.name or resource.id.replace("-", "_")
        owner = known.owner or self._actor()
        name = _free_name(own_name, resource.id, store.names_in(sql, table, owner))
        if name != known.name:
            notes.append(f"it was called {known.name!r}" if known.name else "it had no name")
        common = {
            "id": resource.key,
            "name": name,
            "owner": owner,
            "location": unknown.location,
            "project": project.id if project else None,
            "size_gb": known.size_gb,
            "iops": known.iops,
            "throughput": known.throughput,
            "created_at": whole(known.created_at or self._clock.now()),
            "observed": resource.observed,
            "observed_generation": 1,
            "used_bytes": resource.used_bytes,
        }
        if isinstance(resource, ProviderSnapshot):
            return self._snapshot(sql, resource, known, offer, common), tuple(notes)
        return _volume(resource, known, offer, common), tuple(notes)

    def _snapshot(
        self,
        sql: Connection,
        snapshot: ProviderSnapshot,
        known: StorageMetadata,
        offer: StorageOffer,
        common: dict[str, Any],
    ) -> Snapshot:
        volume = storage.find(sql, Volume, known.source_id) if known.source_id else None
        source: Literal["volume", "workspace"] = "volume" if volume else "workspace"
        return Snapshot(
            **common,
            source=source,
            source_id=volume.id if volume else known.source_id or snapshot.id,
            source_name=known.source or known.source_id or "unknown",
            kind=known.kind,
            volume_type=_disk_type(known.kind, known),
            gb_month=offer.gb_month("snapshot"),
            attempted_generation=1,
            copy_id=snapshot.id,
            progress=snapshot.progress,
        )

    def _view(self, unknown: UnknownStorage) -> StorageOrphan:
        known = unknown.resource.known or NO_METADATA
        with self._db.read() as sql:
            row, _ = self._row(sql, unknown, known)
        created, cost = known.created_at, monthly_cost(row)
        if isinstance(row, Volume) and row.kind is VolumeKind.EBS and row.size_gb is None:
            cost = None
        now = self._clock.now()
        return StorageOrphan(
            kind=kind_of(unknown.resource),
            id=unknown.resource.id,
            name=known.name or None,
            place=unknown.location,
            owner=known.owner or None,
            project=known.project,
            size_gb=known.size_gb,
            used_gb=gigabytes(unknown.resource.used_bytes),
            created_at=created and whole(created),
            age_seconds=None if created is None else int((now - created).total_seconds()),
            monthly_cost=None if cost is None else amount(cost),
            removed_by=unknown.resource.removed_by,
        )


def _volume(
    disk: Disk, known: StorageMetadata, offer: StorageOffer, common: dict[str, Any]
) -> Volume:
    kind = VolumeKind(kind_of(disk))
    sort = _disk_type(kind, known)
    return Volume(
        **common,
        kind=kind,
        volume_type=sort,
        gb_month=offer.gb_month(sort or "efs"),
        performance_month=offer.performance_month(sort, known.iops, known.throughput),
        notes=offer.notes(kind, known.size_gb),
        expected_id=offer.expected_id(disk.key, kind),
        disk_id=disk.id,
        zone=disk.zone,
    )


def _disk_type(kind: VolumeKind, known: StorageMetadata) -> DiskType | None:
    return (known.volume_type or "gp3") if kind is VolumeKind.EBS else None


def _hosts(sql: Connection, disk: Disk) -> list[Workspace]:
    """The workspaces whose machines have it now."""
    return [
        workspace
        for workspace in workspaces.every(sql)
        if workspace.machine_id in disk.attached and workspace.ended_at is None
    ]


def _free_name(name: str, id: str, taken: set[str]) -> str:
    """A free name similar to its own; the provider's id makes one free."""
    tries = (name, f"{name[:56]}-{id[-6:]}", f"{name[:40]}-{id[-17:]}")
    return next((candidate for candidate in tries if candidate not in taken), id.replace("-", "_"))
