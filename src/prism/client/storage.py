"""Client methods for volumes and snapshots."""

from __future__ import annotations

import builtins

from prism.annotations import TYPE_CHECKING
from prism.client.models import copies, storage
from prism.client.transport.request import Noun, trim
from prism.client.transport.wire import query, quoted

if TYPE_CHECKING:
    from typing import Literal

    Volume = storage.EbsVolume | storage.EfsVolume

VOLUMES, SNAPSHOTS = "/storage/volumes", "/snapshots"
COPIES, REMOTE_COPIES, SCHEDULES = "/copies", "/remote-copies", "/copy-schedules"


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

    def copy(
        self,
        name: str,
        destination: str,
        *,
        verify: Literal["full", "quick"] = "full",
        profile: str | None = None,
    ) -> copies.CopyItem:
        """Copy a snapshot to a folder, `ssh://…` or `s3://…`; with `profile`'s login for S3."""
        body = copies.NewCopy(destination=destination, verify=verify, profile=profile)
        path = f"{SNAPSHOTS}/{quoted(name)}/copy"
        return self._ask("POST", path, copies.CopyItem, trim(body))

    def list_copies(self) -> builtins.list[copies.CopyItem]:
        """The copies that the daemon made or is making."""
        return self._ask("GET", COPIES, builtins.list[copies.CopyItem])

    def get_copy(self, id: str) -> copies.CopyItem:
        """One copy."""
        return self._ask("GET", f"{COPIES}/{quoted(id)}", copies.CopyItem)

    def forget_copy(self, id: str) -> copies.ForgottenCopy:
        """Cancel a copy, or remove it from the list; what is at the destination stays."""
        return self._ask("DELETE", f"{COPIES}/{quoted(id)}", copies.ForgottenCopy)

    def remote_copies(
        self, destination: str, *, profile: str | None = None
    ) -> builtins.list[copies.RemoteCopyItem]:
        """What is at a destination, whichever computer copied it there."""
        path = REMOTE_COPIES + query(destination=destination, profile=profile)
        return self._ask("GET", path, builtins.list[copies.RemoteCopyItem])

    def fetch(
        self,
        destination: str,
        copy: str,
        name: str | None = None,
        *,
        profile: str | None = None,
    ) -> storage.SnapshotItem:
        """Make a snapshot from a copy, which is a snapshot's name or an id at the destination."""
        body = copies.FetchRequest(destination=destination, copy=copy, name=name, profile=profile)
        path = f"{REMOTE_COPIES}/fetch"
        return self._ask("POST", path, storage.SnapshotItem, trim(body))

    def delete_copy(
        self, id: str, destination: str, *, profile: str | None = None
    ) -> copies.ForgottenCopy:
        """Destroy one copy at a destination, by its id there."""
        path = f"{REMOTE_COPIES}/{quoted(id)}" + query(destination=destination, profile=profile)
        return self._ask("DELETE", path, copies.ForgottenCopy, patient=True)

    def schedules(self) -> builtins.list[copies.CopyScheduleItem]:
        """Every schedule of copies."""
        return self._ask("GET", SCHEDULES, builtins.list[copies.CopyScheduleItem])

    def schedule(
        self,
        destination: str,
        every: storage.Period,
        *,
        volume: str | None = None,
        workspace: str | None = None,
        keep: int = 7,
        verify: Literal["full", "quick"] = "full",
        profile: str | None = None,
    ) -> copies.CopyScheduleItem:
        """Copy a volume or workspace regularly; `keep` copies stay at the destination."""
        body = copies.NewCopySchedule(
            destination=destination,
            every=every,
            volume=volume,
            instance=workspace,
            keep=keep,
            verify=verify,
            profile=profile,
        )
        return self._ask("POST", SCHEDULES, copies.CopyScheduleItem, trim(body))

    def unschedule(self, id: str) -> copies.ForgottenCopy:
        """End a schedule; its copies stay."""
        return self._ask("DELETE", f"{SCHEDULES}/{quoted(id)}", copies.ForgottenCopy)


def _path(name: str, *verb: str) -> str:
    return "/".join((VOLUMES, quoted(name), *verb))


def _volume(noun: Noun, method: str, path: str, body: object = None) -> Volume:
    """Decode a volume of either kind; a shared one has a file system id."""
    raw = noun._ask(method, path, dict[str, object], body)
    kind: type[Volume] = storage.EfsVolume if "filesystem_id" in raw else storage.EbsVolume
    return noun._wire.converted(raw, kind, path)
