"""Volumes and snapshots, across the wire."""

import builtins
from typing import Literal

import msgspec

from prism.client.decoding import ask
from prism.client.wire import Wire, quoted
from prism.storage.model import (
    Attaching,
    Detaching,
    DiskType,
    EbsVolume,
    EfsVolume,
    NewSnapshot,
    NewVolume,
    Period,
    Removal,
    Restoring,
    SnapshotItem,
    Verifying,
    VolumeKind,
    VolumeList,
)

VOLUMES, SNAPSHOTS = "/storage/volumes", "/snapshots"
Volume = EbsVolume | EfsVolume


class Volumes:
    """What you may ask about volumes; `name` is a name or an id.

    Verbs say at once what is wanted and return; the volume follows.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> VolumeList:
        """Every volume, by kind."""
        return ask(self._wire, "GET", VOLUMES, VolumeList)

    def get(self, name: str) -> Volume:
        """One volume."""
        return _volume(self._wire, "GET", _of(name))

    def create(
        self,
        name: str,
        size_gb: int | None = None,
        *,
        type: VolumeKind | str = VolumeKind.EBS,
        volume_type: DiskType | None = None,
        iops: int | None = None,
        throughput: int | None = None,
        project: str | None = None,
        budget: str | None = None,
    ) -> Volume:
        """Ask for a new one; an `efs` volume has neither size nor type."""
        body = NewVolume(
            type=VolumeKind(type),
            name=name,
            size_gb=size_gb,
            volume_type=volume_type,
            iops=iops,
            throughput=throughput,
            project=project,
            budget=budget,
        )
        return _volume(self._wire, "POST", f"{VOLUMES}/create", body)

    def attach(self, name: str, workspace: str) -> Volume:
        """Ask for a workspace to have it, at `~/volumes/NAME`."""
        return _volume(self._wire, "POST", _of(name, "attach"), Attaching(instance=workspace))

    def detach(self, name: str, workspace: str | None = None) -> Volume:
        """Ask for one workspace, or all, to have it no more."""
        return _volume(self._wire, "POST", _of(name, "detach"), Detaching(instance=workspace))

    def delete(self, name: str) -> Removal:
        """Ask for one that nothing has to be destroyed, with what it holds."""
        return ask(self._wire, "DELETE", _of(name), Removal)


class Snapshots:
    """What you may ask about snapshots; `name` is a name or an id."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> builtins.list[SnapshotItem]:
        """Every snapshot."""
        return ask(self._wire, "GET", SNAPSHOTS, builtins.list[SnapshotItem])

    def get(self, name: str) -> SnapshotItem:
        """One snapshot."""
        return ask(self._wire, "GET", f"{SNAPSHOTS}/{quoted(name)}", SnapshotItem)

    def create(
        self,
        name: str,
        *,
        volume: str | None = None,
        workspace: str | None = None,
        verify: Period | None = None,
    ) -> SnapshotItem:
        """Ask for one of a volume, or of a workspace's root disk, verified so often."""
        body = NewSnapshot(name=name, volume=volume, instance=workspace, verify=verify)
        return ask(self._wire, "POST", SNAPSHOTS, SnapshotItem, body)

    def restore(self, name: str, volume: str) -> Volume:
        """Ask for a new volume of that name that holds what the snapshot holds."""
        path = f"{SNAPSHOTS}/{quoted(name)}/restore"
        return _volume(self._wire, "POST", path, Restoring(name=volume))

    def verify(self, name: str, *, every: Period | Literal["never"] | None = None) -> SnapshotItem:
        """Ask for a rehearsed restore, now, and by itself so often from now on."""
        path = f"{SNAPSHOTS}/{quoted(name)}/verify"
        return ask(self._wire, "POST", path, SnapshotItem, Verifying(every=every))

    def delete(self, name: str) -> Removal:
        """Ask for one to be destroyed; volumes made from it stay."""
        return ask(self._wire, "DELETE", f"{SNAPSHOTS}/{quoted(name)}", Removal)


def _of(name: str, *verb: str) -> str:
    return "/".join((VOLUMES, quoted(name), *verb))


def _volume(wire: Wire, method: str, path: str, body: object = None) -> Volume:
    """Decode whichever kind it is; a shared one is known by its file system."""
    raw = ask(wire, method, path, dict[str, object], body)
    if "filesystem_id" in raw:
        return msgspec.convert(raw, EfsVolume)
    return msgspec.convert(raw, EbsVolume)
