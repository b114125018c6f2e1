"""EC2 snapshots, of volumes and of machines' root disks.

`CreateSnapshot` takes no token: whoever asks again looks first for what carries the tag.
Should one key have made two all the same, the older counts. Nothing is deleted for carrying the
same key: a snapshot may be somebody's own copy, with its tags. The other one is shown as an
orphan, with what it costs and the command that removes it.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from prism.errors import Unavailable
from prism.providers.aws.api.cloud import Answer, Cloud
from prism.providers.aws.api.faults import AwsThrottled, Missing
from prism.providers.aws.api.tags import ID, Tags, listed, read, specified
from prism.providers.aws.api.unreadable import ReadableItems, read_item
from prism.providers.aws.storage.machines import standing
from prism.providers.aws.storage.tags import copy_tags, key_filter, kind_filter, known, put_back
from prism.storage.model import StorageFailure, StorageObserved
from prism.storage.ports import ProviderSnapshot, SnapshotOrder, StorageRefused
from prism.workspaces.ports import ProviderRefused

STATES = {
    "pending": StorageObserved.MAKING,
    "completed": StorageObserved.THERE,
    "recoverable": StorageObserved.GONE,  # it lies in the Recycle Bin
    "recovering": StorageObserved.MAKING,
    "error": StorageObserved.BROKEN,
}
GIB = 2**30
SHOWN_AFTER = timedelta(minutes=1)  # until then, what is not listed may have been made


class AwsSnapshots:
    """The snapshots of one account and region."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._asked: dict[str, datetime] = {}  # by key: when its snapshot was asked for last

    def survey(self) -> ReadableItems:
        """All of ours, and what else carries the key of one."""
        filters = kind_filter("snapshot")
        own = {"OwnerIds": ["self"], "MaxResults": 1000, "Filters": filters}
        every = self._cloud.pages("ec2", "DescribeSnapshots", "Snapshots", **own)
        listed = self._cloud.unreadable.read_each("SnapshotId", every, _understood)
        counting = _counting(listed.items)
        copies = [
            _copy(snapshot) if snapshot in counting else self._surplus(snapshot)
            for snapshot in listed.items
        ]
        return ReadableItems(copies, listed.unreadable)

    def find(self, id: str, order: SnapshotOrder) -> ProviderSnapshot | None:
        """The one with this id, whatever its tags; those that it has lost are put back."""
        try:
            found = self._cloud.call("ec2", "DescribeSnapshots", SnapshotIds=[id])["Snapshots"]
        except Missing:
            return None
        if not found:
            return None
        snapshot = read_item(id, lambda: self._cloud.written.over(id, _understood(found[0])))
        tags = put_back(
            lambda lost: self._write(id, lost), id, read(snapshot.get("Tags")), copy_tags(order)
        )
        return _copy({**snapshot, "Tags": listed({**tags, ID: order.key})})

    def _write(self, id: str, tags: Tags) -> None:
        self._cloud.call("ec2", "CreateTags", Resources=[id], Tags=listed(tags))

    def snapshot(self, order: SnapshotOrder, source: str) -> ProviderSnapshot:
        """Keep what a volume, or the root disk of a machine, holds."""
        for snapshot in _counting(self._of_key(order.key)):
            if snapshot["State"] != "error":
                return _copy(snapshot)
            self.delete(snapshot["SnapshotId"])
            self._asked.pop(order.key, None)
        self._wait_until_visible(order)
        wish = {
            "Description": f"Prism: {order.source} as {order.name}"[:255],
            "TagSpecifications": specified(copy_tags(order), "snapshot"),
            "VolumeId": self._volume(source),
        }
        self._asked[order.key] = self._cloud.clock.now()
        try:
            made = self._cloud.call("ec2", "CreateSnapshot", **wish)
        except Missing as gone:
            self._asked.pop(order.key)
            raise StorageRefused(f"There is nothing left of {source} to copy") from gone
        except (ProviderRefused, AwsThrottled):  # nothing was made
            self._asked.pop(order.key)
            raise
        return read_item(f"snapshot {order.name}", lambda: _copy(made))

    def _wait_until_visible(self, order: SnapshotOrder) -> None:
        """Raise while a requested snapshot may not be listed yet: a second one would cost, too."""
        now = self._cloud.clock.now()
        self._asked = {key: at for key, at in self._asked.items() if now < at + SHOWN_AFTER}
        if order.key in self._asked:
            raise Unavailable(f"Snapshot {order.name} was asked for and is not visible yet")

    def delete(self, id: str) -> None:
        """Destroy this one; others of its key stay, and are shown."""
        with suppress(Missing):
            self._cloud.call("ec2", "DeleteSnapshot", SnapshotId=id)

    def _volume(self, source: str) -> str:
        if not source.startswith("i-"):
            return source
        at = standing(self._cloud, source)
        if at is None or at.root not in at.disks:
            raise StorageRefused(f"There is nothing left of {source} to copy")
        return at.disks[at.root]

    def _of_key(self, key: str) -> list[Answer]:
        own = {"OwnerIds": ["self"], "MaxResults": 1000, "Filters": key_filter("snapshot", key)}
        found = list(self._cloud.pages("ec2", "DescribeSnapshots", "Snapshots", **own))
        what = f"a snapshot with the key {key}"
        return read_item(what, lambda: [_understood(snapshot) for snapshot in found])

    def _surplus(self, answer: Answer) -> ProviderSnapshot:
        """One that no row can be of; its own id stands in for a key."""
        id, region = answer["SnapshotId"], self._cloud.region
        command = f"aws ec2 delete-snapshot --region {region} --snapshot-id {id}"
        return replace(_copy(answer), key=id, removed_by=command)


def _understood(snapshot: Mapping[str, Any]) -> Answer:
    """The same, if all that is asked of it can be read."""
    _copy(snapshot), _age(snapshot)
    return dict(snapshot)


def _counting(found: Iterable[Answer]) -> list[Answer]:
    """One for each key: the oldest that has not failed."""
    kept: dict[str, Answer] = {}
    for snapshot in sorted(found, key=_age):
        kept.setdefault(read(snapshot.get("Tags")).get(ID, ""), snapshot)
    return list(kept.values())


def _copy(snapshot: Mapping[str, Any]) -> ProviderSnapshot:
    seen = STATES[snapshot["State"]]
    why = snapshot.get("StateMessage") or "AWS could not complete it"
    progress = str(snapshot.get("Progress") or "").rstrip("%")
    whole = snapshot.get("FullSnapshotSizeInBytes") or snapshot["VolumeSize"] * GIB
    return ProviderSnapshot(
        id=snapshot["SnapshotId"],
        key=read(snapshot.get("Tags")).get(ID, ""),
        seen=seen,
        progress=int(progress) if progress.isdigit() else None,
        used_bytes=whole if seen is StorageObserved.THERE else None,
        trouble=StorageFailure("SNAPSHOT_FAILED", str(why))
        if seen is StorageObserved.BROKEN
        else None,
        one_moment=True,  # EC2 keeps the blocks of the moment it was asked
        known=known(
            read(snapshot.get("Tags")),
            size_gb=snapshot["VolumeSize"],
            source_id=snapshot.get("VolumeId"),
            created_at=snapshot.get("StartTime"),
        ),
    )


def _age(snapshot: Mapping[str, Any]) -> tuple[bool, datetime, str]:
    return snapshot["State"] == "error", snapshot["StartTime"], snapshot["SnapshotId"]
