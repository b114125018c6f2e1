"""Volumes and snapshots on AWS: EBS (`disks`), EFS (`filesystems`), EC2 snapshots (`snapshots`).

One `AwsVolumes` for each location. All state is in tags, so there may be several daemons, and one
may repeat the call of another.
"""

from collections.abc import Collection
from datetime import timedelta

from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.unreadable import ReadableItems
from prism.providers.aws.storage.disks import Disks, TagsHook
from prism.providers.aws.storage.filesystems import FileSystems
from prism.providers.aws.storage.mounts import AwsMounts, Runner
from prism.providers.aws.storage.offer import NO_COPIES, NO_VERIFICATION
from prism.providers.aws.storage.snapshots import AwsSnapshots
from prism.providers.aws.storage.tags import refusals, unavailable_if_refused
from prism.storage.model import VolumeKind
from prism.storage.ports import (
    EVERYTHING,
    Disk,
    ProviderSnapshot,
    SnapshotSpec,
    StorageRefused,
    StorageSurvey,
    SurveyPart,
    VolumeSpec,
)

NO_DISKS = ReadableItems([], {})


class AwsVolumes:
    """Implements `storage.ports.Volumes`.

    When nothing changes, each part is surveyed every two minutes, or every 15 minutes if it is
    empty. With the survey of machines every 30 s, that is at most 3.5 calls a minute per region.
    """

    busy = timedelta(seconds=2)
    calm = timedelta(seconds=120)
    patience = timedelta(seconds=60)
    early = False  # a machine may only get it after its boot, or might boot from it

    def __init__(self, cloud: Cloud, runner: Runner, on_survey: TagsHook = lambda _: None) -> None:
        """`on_survey` is called at each survey with the tags of all EBS volumes."""
        mounts = AwsMounts(runner)
        self._disks, self._shared = Disks(cloud, mounts, on_survey), FileSystems(cloud, mounts)
        self._copies = AwsSnapshots(cloud)

    def survey(self, parts: Collection[SurveyPart] = EVERYTHING) -> StorageSurvey:
        """All volumes and snapshots of these parts, with one call per part."""
        with unavailable_if_refused():
            disks = self._disks.survey() if SurveyPart.EBS in parts else NO_DISKS
            shared = self._shared.survey() if SurveyPart.EFS in parts else NO_DISKS
            copies = self._copies.survey() if SurveyPart.SNAPSHOTS in parts else NO_DISKS
        unread = {**disks.unreadable, **shared.unreadable, **copies.unreadable}
        return StorageSurvey([*disks.items, *shared.items], copies.items, not_understood=unread)

    def find(self, id: str, spec: VolumeSpec) -> Disk | None:
        """Implements `storage.ports.FindsStorageById`: surveys find volumes by their tags."""
        with unavailable_if_refused():
            return self._of(id).find(id, spec)

    def find_snapshot(self, id: str, spec: SnapshotSpec) -> ProviderSnapshot | None:
        """The snapshot with this id, like `find`."""
        with unavailable_if_refused():
            return self._copies.find(id, spec)

    def removal(self, id: str) -> str:
        """The command that removes what has the tags of a row, but is not the row's."""
        if id.startswith("snap-"):
            return self._copies.removal(id)
        return self._of(id).removal(id)

    def create(self, spec: VolumeSpec) -> Disk:
        """Make an empty, encrypted volume."""
        with refusals():
            return self._of_kind(spec.kind).create(spec)

    def restore(self, spec: VolumeSpec, snapshot: str) -> Disk:
        """Make a volume with the data of a snapshot; EC2 loads each block at the first read."""
        if spec.kind is VolumeKind.EFS:
            raise StorageRefused(NO_COPIES)
        with refusals():
            return self._disks.create(spec, snapshot)

    def attach(self, id: str, machine: str, name: str) -> None:
        """Do the next step: attach a volume, then mount it in the machine's `~/volumes`."""
        with refusals():
            self._of(id).attach(id, machine, name)

    def detach(self, id: str, machine: str) -> None:
        """Do the next step: unmount a volume, then detach it."""
        with refusals():
            self._of(id).detach(id, machine)

    def delete(self, id: str) -> None:
        """Delete a volume and its data."""
        with refusals():
            self._of(id).delete(id)

    def snapshot(self, spec: SnapshotSpec, source: str) -> ProviderSnapshot:
        """A copy of an EBS volume, or of a machine's root disk."""
        if source.startswith("fs-"):
            raise StorageRefused(NO_COPIES)
        with refusals():
            return self._copies.snapshot(spec, source)

    def verify(self, id: str, token: str) -> None:
        """Refuse: EC2 shows a snapshot's data only on a volume that is attached to a machine."""
        raise StorageRefused(NO_VERIFICATION)

    def delete_snapshot(self, id: str) -> None:
        """Delete a snapshot; volumes that were made from it stay."""
        with refusals():
            self._copies.delete(id)

    def end(self) -> None:
        """Does nothing: no work runs here."""

    def close(self) -> None:
        """Does nothing: no work runs here."""

    def _of(self, id: str) -> Disks | FileSystems:
        return self._of_kind(VolumeKind.EFS if id.startswith("fs-") else VolumeKind.EBS)

    def _of_kind(self, kind: VolumeKind) -> Disks | FileSystems:
        return self._shared if kind is VolumeKind.EFS else self._disks
