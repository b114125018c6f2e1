"""Client methods for volumes and snapshots."""

from __future__ import annotations

import builtins

from prism.annotations import TYPE_CHECKING
from prism.client.models import storage
from prism.client.request import Noun, trim
from prism.client.wire import quoted

if TYPE_CHECKING:
    from typing import Literal

    Volume = storage.EbsVolume | storage.EfsVolume

VOLUMES, SNAPSHOTS = "/storage/volumes", "/snapshots"


class Volumes(Noun):
    """Methods for volumes; `name` is a name or an id.

    They return at once; the daemon then carries out the request.
    """

    def list(self) -> storage.VolumeList:
        """Every volume, by kind."""
        return self._ask("GET", VOLUMES, storage.VolumeList)

    def get(self, name: str) -> Volume:
        """One volume, by name or id."""
        return _volume(self, "GET", _path(name))

    def create(
        self,
        name: str,
        size_gb: int | None = None,
        *,
        type: storage.VolumeKind | str = "ebs",
        volume_type: storage.DiskType | None = None,
        iops: int | None = None,
        throughput: int | None = None,
        project: str | None = None,
        budget: str | None = None,
    ) -> Volume:
        """Make a volume; an `efs` volume has neither size nor type."""
        body = storage.NewVolume(
            type=storage.VolumeKind(type),
            name=name,
            size_gb=size_gb,
            volume_type=volume_type,
            iops=iops,
            throughput=throughput,
            project=project,
            budget=budget,
        )
        return _volume(self, "POST", f"{VOLUMES}/create", trim(body))

    def attach(self, name: str, workspace: str) -> Volume:
        """Attach it to a workspace, at `~/volumes/NAME`."""
        return _volume(
            self, "POST", _path(name, "attach"), storage.AttachRequest(instance=workspace)
        )

    def detach(self, name: str, workspace: str | None = None, *, force: bool = False) -> Volume:
        """Detach it from one workspace, or from all; `force` stops those that run."""
        body = trim(storage.DetachRequest(instance=workspace, force=force))
        return _volume(self, "POST", _path(name, "detach"), body)

    def delete(self, name: str) -> storage.DeletedStorage:
        """Destroy an unattached volume and its data."""
        return self._ask("DELETE", _path(name), storage.DeletedStorage)


class Snapshots(Noun):
    """Methods for snapshots; `name` is a name or an id."""

    def list(self) -> builtins.list[storage.SnapshotItem]:
        """Every snapshot."""
        return self._ask("GET", SNAPSHOTS, builtins.list[storage.SnapshotItem])

    def get(self, name: str) -> storage.SnapshotItem:
        """One snapshot, by name or id."""
        return self._ask("GET", f"{SNAPSHOTS}/{quoted(name)}", storage.SnapshotItem)

    def create(
        self,
        name: str,
        *,
        volume: str | None = None,
        workspace: str | None = None,
        verify: storage.Period | None = None,
    ) -> storage.SnapshotItem:
        """Take a snapshot of a volume or of a workspace's root disk; `verify` is how often."""
        body = storage.NewSnapshot(name=name, volume=volume, instance=workspace, verify=verify)
        return self._ask("POST", SNAPSHOTS, storage.SnapshotItem, trim(body))

    def restore(self, name: str, volume: str) -> Volume:
        """Make a new volume of that name from a snapshot."""
        path = f"{SNAPSHOTS}/{quoted(name)}/restore"
        return _volume(self, "POST", path, storage.RestoreRequest(name=volume))

    def verify(
        self, name: str, *, every: storage.Period | Literal["never"] | None = None
    ) -> storage.SnapshotItem:
        """Test the restore of a snapshot now; `every` is how often from now on."""
        path = f"{SNAPSHOTS}/{quoted(name)}/verify"
        return self._ask(
            "POST", path, storage.SnapshotItem, trim(storage.VerifyRequest(every=every))
        )

    def delete(self, name: str) -> storage.DeletedStorage:
        """Destroy a snapshot; volumes made from it stay."""
        return self._ask("DELETE", f"{SNAPSHOTS}/{quoted(name)}", storage.DeletedStorage)


def _path(name: str, *verb: str) -> str:
    return "/".join((VOLUMES, quoted(name), *verb))


def _volume(noun: Noun, method: str, path: str, body: object = None) -> Volume:
    """Decode a volume of either kind; a shared one has a file system id."""
    raw = noun._ask(method, path, dict[str, object], body)
    kind: type[Volume] = storage.EfsVolume if "filesystem_id" in raw else storage.EbsVolume
    return noun._wire.converted(raw, kind, path)
