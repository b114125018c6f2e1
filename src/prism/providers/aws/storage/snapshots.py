"""EC2 snapshots, of volumes and of machines' root disks.

`CreateSnapshot` takes no token, so a repeated call first looks for a snapshot with the key's tag.
If two have the same key nevertheless, the older one counts. The other one may be a user's copy
with the same tags, so Prism does not delete it: it is listed as an orphan, with its cost and the
command to remove it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from prism.errors import Unavailable
from prism.providers.aws.api.cloud import Answer, Cloud
from prism.providers.aws.api.faults import AwsThrottled, Missing
from prism.providers.aws.api.tags import ID_TAG, listed, read, specified
from prism.providers.aws.api.unreadable import ReadableItems, read_item
from prism.providers.aws.storage.machines import find_machine
from prism.providers.aws.storage.tags import (
    Filters,
    copy_tags,
    key_filter,
    kind_filter,
    known,
    put_back,
)
from prism.storage.model import StorageFailure, StorageObserved
from prism.storage.ports import ProviderSnapshot, SnapshotSpec, StorageRefused, as_twin
from prism.workspaces.ports import ProviderRefused

SNAPSHOT_STATES = {
    "pending": StorageObserved.MAKING,
    "completed": StorageObserved.THERE,
    "recoverable": StorageObserved.GONE,  # it is in EC2's Recycle Bin
    "recovering": StorageObserved.MAKING,
    "error": StorageObserved.BROKEN,
}
GIB = 2**30
VISIBLE_AFTER = timedelta(minutes=1)  # until then, a new snapshot may not be listed


class AwsSnapshots:
    """The snapshots of one account and region."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._asked: dict[str, datetime] = {}  # by key: when its snapshot was last requested

    def survey(self) -> ReadableItems:
        """All our snapshots, including those with a key that occurs twice."""
        pages = self._described(kind_filter("snapshot"))
        listing = self._cloud.unreadable.read_each("SnapshotId", pages, _readable)
        counting = _oldest_per_key(listing.items)
        copies = [
            _as_snapshot(snapshot) if snapshot in counting else self._as_surplus(snapshot)
            for snapshot in listing.items
        ]
        return ReadableItems(copies, listing.unreadable)

    def find(self, id: str, spec: SnapshotSpec) -> ProviderSnapshot | None:
        """The snapshot with this id, whatever its tags; adds the tags that it has lost."""
        try:
            snapshots = self._cloud.call("ec2", "DescribeSnapshots", SnapshotIds=[id])["Snapshots"]
        except Missing:
            return None
        if not snapshots:
            return None
        snapshot = read_item(id, lambda: self._cloud.written.over(id, _readable(snapshots[0])))
        write, known = partial(self._cloud.tag, id), read(snapshot.get("Tags"))
        tags = put_back(write, id, known, copy_tags(spec))
        return _as_snapshot({**snapshot, "Tags": listed({**tags, ID_TAG: spec.key})})

    def snapshot(self, spec: SnapshotSpec, source: str) -> ProviderSnapshot:
        """Take a snapshot of a volume, or of the root disk of a machine."""
        for snapshot in _oldest_per_key(self._of_key(spec.key)):
            if snapshot["State"] != "error":
                return _as_snapshot(snapshot)
            self.delete(snapshot["SnapshotId"])
            self._asked.pop(spec.key, None)
        self._wait_until_visible(spec)
        args = {
            "Description": f"Prism: {spec.source} as {spec.name}"[:255],
            "TagSpecifications": specified(copy_tags(spec), "snapshot"),
            "VolumeId": self._volume(source),
        }
        self._asked[spec.key] = self._cloud.clock.now()
        try:
            created = self._cloud.call("ec2", "CreateSnapshot", **args)
        except Missing as gone:
            self._asked.pop(spec.key, None)
            raise StorageRefused(f"There is nothing left of {source} to copy") from gone
        except (ProviderRefused, AwsThrottled):  # nothing was made
            self._asked.pop(spec.key, None)
            raise
        return read_item(f"snapshot {spec.name}", lambda: _as_snapshot(created))

    def _wait_until_visible(self, spec: SnapshotSpec) -> None:
        """Raise while a requested snapshot may not be listed yet, to avoid a second one."""
        now = self._cloud.clock.now()
        for key, at in list(self._asked.items()):  # other threads add to it
            if now >= at + VISIBLE_AFTER:
                self._asked.pop(key, None)
        if spec.key in self._asked:
            raise Unavailable(f"Snapshot {spec.name} was asked for and is not visible yet")

    def delete(self, id: str) -> None:
        """Delete this snapshot; others with its key stay, as orphans."""
        with suppress(Missing):
            self._cloud.call("ec2", "DeleteSnapshot", SnapshotId=id)

    def _volume(self, source: str) -> str:
        if not source.startswith("i-"):
            return source
        host = find_machine(self._cloud, source)
        if host is None or host.root not in host.disks:
            raise StorageRefused(f"There is nothing left of {source} to copy")
        return host.disks[host.root]

    def _of_key(self, key: str) -> list[Answer]:
        snapshots = list(self._described(key_filter("snapshot", key)))
        label = f"a snapshot with the key {key}"
        return read_item(label, lambda: [_readable(snapshot) for snapshot in snapshots])

    def _described(self, filters: Filters) -> Iterator[Answer]:
        args = {"OwnerIds": ["self"], "MaxResults": 1000, "Filters": filters}
        return self._cloud.pages("ec2", "DescribeSnapshots", "Snapshots", **args)

    def _as_surplus(self, answer: Answer) -> ProviderSnapshot:
        """A snapshot without a row; its own id is used as its key."""
        return as_twin(_as_snapshot(answer), self.removal(answer["SnapshotId"]))

    def removal(self, id: str) -> str:
        """The command that removes a snapshot which is no row's."""
        return f"aws ec2 delete-snapshot --region {self._cloud.region} --snapshot-id {id}"


def _readable(snapshot: Mapping[str, Any]) -> Answer:
    """The snapshot; raises if a required field cannot be read."""
    _as_snapshot(snapshot), _age_order(snapshot)
    return dict(snapshot)


def _oldest_per_key(snapshots: Iterable[Answer]) -> list[Answer]:
    """One snapshot for each key: the oldest that has not failed."""
    by_key: dict[str, Answer] = {}
    for snapshot in sorted(snapshots, key=_age_order):
        by_key.setdefault(read(snapshot.get("Tags")).get(ID_TAG, ""), snapshot)
    return list(by_key.values())


def _as_snapshot(snapshot: Mapping[str, Any]) -> ProviderSnapshot:
    observed = SNAPSHOT_STATES[snapshot["State"]]
    why = snapshot.get("StateMessage") or "AWS could not complete it"
    progress = str(snapshot.get("Progress") or "").rstrip("%")
    whole = snapshot.get("FullSnapshotSizeInBytes") or snapshot["VolumeSize"] * GIB
    return ProviderSnapshot(
        id=snapshot["SnapshotId"],
        key=read(snapshot.get("Tags")).get(ID_TAG, ""),
        observed=observed,
        progress=int(progress) if progress.isdigit() else None,
        used_bytes=whole if observed is StorageObserved.THERE else None,
        trouble=StorageFailure("SNAPSHOT_FAILED", str(why))
        if observed is StorageObserved.BROKEN
        else None,
        one_moment=True,  # the snapshot has the blocks of the time of the request
        known=known(
            read(snapshot.get("Tags")),
            size_gb=snapshot["VolumeSize"],
            source_id=snapshot.get("VolumeId"),
            created_at=snapshot.get("StartTime"),
        ),
    )


def _age_order(snapshot: Mapping[str, Any]) -> tuple[bool, datetime, str]:
    return snapshot["State"] == "error", snapshot["StartTime"], snapshot["SnapshotId"]
