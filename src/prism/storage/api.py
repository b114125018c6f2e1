"""Volumes and snapshots over HTTP."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from prism.kit.routes import Routes
from prism.storage.model import (
    AttachRequest,
    DeletedStorage,
    DetachRequest,
    EbsVolume,
    EfsVolume,
    NewSnapshot,
    NewVolume,
    RestoreRequest,
    SnapshotItem,
    VerifyRequest,
    VolumeList,
)
from prism.storage.snapshot_service import SnapshotService

Storage = NamedDependency[SnapshotService]
Name = FromPath[str]
volumes = Routes("/api/v1/storage/volumes", tags=["volumes"])
snapshots = Routes("/api/v1/snapshots", tags=["snapshots"])


@volumes.get(sync_to_thread=True)
def list_volumes(storage: Storage) -> VolumeList:
    """Every volume: shared ones, and those for one workspace at a time."""
    return storage.every()


@volumes.post("/create", sync_to_thread=True)
def create_volume(data: JSONBody[NewVolume], storage: Storage) -> EbsVolume | EfsVolume:
    """Request a new volume."""
    return storage.create(data)


@volumes.get("/{name:str}", sync_to_thread=True)
def show_volume(name: Name, storage: Storage) -> EbsVolume | EfsVolume:
    """One volume, by name or id."""
    return storage.named(name)


@volumes.delete("/{name:str}", status_code=200, sync_to_thread=True)
def delete_volume(name: Name, storage: Storage) -> DeletedStorage:
    """Request that a volume without attachments is destroyed, with its data."""
    return DeletedStorage(f"Volume {storage.delete(name)!r} deleting - its data will be lost")


@volumes.post("/{name:str}/attach", status_code=200, sync_to_thread=True)
def attach_volume(
    name: Name, data: JSONBody[AttachRequest], storage: Storage
) -> EbsVolume | EfsVolume:
    """Attach a volume to a workspace, at `~/volumes/NAME`."""
    return storage.attach(name, data.instance)


@volumes.post("/{name:str}/detach", status_code=200, sync_to_thread=True)
def detach_volume(
    name: Name, data: JSONBody[DetachRequest], storage: Storage
) -> EbsVolume | EfsVolume:
    """Request that a volume is detached from one workspace, or from all; its data stays."""
    return storage.detach(name, data.instance, force=data.force)


@snapshots.get(sync_to_thread=True)
def list_snapshots(storage: Storage) -> list[SnapshotItem]:
    """Every snapshot."""
    return storage.snapshots()


@snapshots.post(sync_to_thread=True)
def create_snapshot(data: JSONBody[NewSnapshot], storage: Storage) -> SnapshotItem:
    """Request a snapshot of a volume, or of a workspace's root disk."""
    return storage.take(data)


@snapshots.get("/{name:str}", sync_to_thread=True)
def show_snapshot(name: Name, storage: Storage) -> SnapshotItem:
    """One snapshot, by name or id."""
    return storage.snapshot(name)


@snapshots.delete("/{name:str}", status_code=200, sync_to_thread=True)
def delete_snapshot(name: Name, storage: Storage) -> DeletedStorage:
    """Request that a snapshot is destroyed; volumes that were made from it stay."""
    return DeletedStorage(f"Snapshot {storage.delete_snapshot(name)!r} deleting")


@snapshots.post("/{name:str}/restore", sync_to_thread=True)
def restore_snapshot(
    name: Name, data: JSONBody[RestoreRequest], storage: Storage
) -> EbsVolume | EfsVolume:
    """Request a new volume with the data of a snapshot."""
    return storage.restore(name, data)


@snapshots.post("/{name:str}/verify", status_code=200, sync_to_thread=True)
def verify_snapshot(name: Name, data: JSONBody[VerifyRequest], storage: Storage) -> SnapshotItem:
    """Request a test of a snapshot: a restore that is compared with its manifest."""
    return storage.verify(name, data)
