"""EC2 snapshots, of volumes and of machines' root disks.

`CreateSnapshot` takes no token: whoever asks again looks first for what carries the tag.
Should one key have made two all the same, the older stays and the other is removed as soon
as both are seen.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from prism.errors import Problem, Unavailable
from prism.providers.aws.cloud import Answer, Cloud
from prism.providers.aws.faults import Missing, said
from prism.providers.aws.keeping import copy_tags, key_filter, kind_filter, known
from prism.providers.aws.machines import standing
from prism.providers.aws.tags import ID, read, specified
from prism.storage.model import Seen, Trouble
from prism.storage.ports import Copy, CopyOrder, StorageRefused

STATES = {
    "pending": Seen.MAKING,
    "completed": Seen.THERE,
    "recoverable": Seen.GONE,  # it lies in the Recycle Bin
    "recovering": Seen.MAKING,
}
GIB = 2**30
AT_ONCE = timedelta(minutes=5)  # between two that one request has made, however it was repeated


class Copies:
    """The snapshots of one account and region."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def survey(self) -> list[Copy]:
        """All of ours."""
        filters = kind_filter("snapshot")
        own = {"OwnerIds": ["self"], "MaxResults": 1000, "Filters": filters}
        every = list(self._cloud.pages("ec2", "DescribeSnapshots", "Snapshots", **own))
        return [_copy(it) for it in self._single(every)]

    def snapshot(self, order: CopyOrder, source: str) -> Copy:
        """Keep what a volume, or the root disk of a machine, holds."""
        for it in self._single(self._of_key(order.key)):
            if it["State"] != "error":
                return _copy(it)
            self.delete(it["SnapshotId"])
        wish = {
            "Description": f"Prism: {order.source} as {order.name}"[:255],
            "TagSpecifications": specified(copy_tags(order), "snapshot"),
            "VolumeId": self._volume(source),
        }
        try:
            made = self._cloud.call("ec2", "CreateSnapshot", **wish)
        except Missing as gone:
            raise StorageRefused(f"There is nothing left of {source} to copy") from gone
        return _copy(made)

    def delete(self, id: str) -> None:
        """Destroy one, and what else its key has made."""
        for one in {id, *self._twins(id)}:
            try:
                self._cloud.call("ec2", "DeleteSnapshot", SnapshotId=one)
            except Missing:
                continue

    def _volume(self, source: str) -> str:
        if not source.startswith("i-"):
            return source
        at = standing(self._cloud, source)
        if at is None or at.root not in at.disks:
            raise StorageRefused(f"There is nothing left of {source} to copy")
        return at.disks[at.root]

    def _twins(self, id: str) -> list[str]:
        try:
            found = self._cloud.call("ec2", "DescribeSnapshots", SnapshotIds=[id])["Snapshots"]
        except Missing:
            return []
        key = read(found[0].get("Tags")).get(ID) if found else None
        same = self._of_key(key) if key else []
        return [it["SnapshotId"] for it in same if _is_double(it, found[0])]

    def _of_key(self, key: str) -> list[Answer]:
        own = {"OwnerIds": ["self"], "MaxResults": 1000, "Filters": key_filter("snapshot", key)}
        return list(self._cloud.pages("ec2", "DescribeSnapshots", "Snapshots", **own))

    def _single(self, found: Iterable[Answer]) -> list[Answer]:
        """One for each key. Others of it are removed only if one request of ours has made both.

        Who copies a snapshot may copy its tags along, and that copy is theirs.
        """
        kept: dict[str, Answer] = {}
        for it in sorted(found, key=_age):
            first = kept.setdefault(read(it.get("Tags")).get(ID, ""), it)
            if first is not it and _is_double(it, first):
                self._remove(it["SnapshotId"])
        return list(kept.values())

    def _remove(self, id: str) -> None:
        try:
            self._cloud.call("ec2", "DeleteSnapshot", SnapshotId=id)
        except Missing:
            return
        except Problem as no:  # a volume, or an image, is being made from it
            if isinstance(no, Unavailable) or said(no).startswith("InvalidSnapshot"):
                return
            raise


def _copy(it: Mapping[str, Any]) -> Copy:
    seen = STATES.get(it["State"], Seen.BROKEN)
    why = it.get("StateMessage") or "AWS could not complete it"
    progress = str(it.get("Progress") or "").rstrip("%")
    whole = it.get("FullSnapshotSizeInBytes") or it["VolumeSize"] * GIB
    return Copy(
        id=it["SnapshotId"],
        key=read(it.get("Tags")).get(ID, ""),
        seen=seen,
        progress=int(progress) if progress.isdigit() else None,
        used_bytes=whole if seen is Seen.THERE else None,
        trouble=Trouble("SNAPSHOT_FAILED", str(why)) if seen is Seen.BROKEN else None,
        one_moment=True,  # EC2 keeps the blocks of the moment it was asked
        known=known(
            read(it.get("Tags")),
            size_gb=it["VolumeSize"],
            source_id=it.get("VolumeId"),
            created_at=it.get("StartTime"),
        ),
    )


def _is_double(it: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two snapshots of one key come of one request that arrived twice.

    EBS User Guide, "Copy an Amazon EBS snapshot": a copy has another volume id, which means
    nothing; and whoever takes another one of the same volume by hand does so later.
    """
    alike = all(it.get(name) == other.get(name) for name in ("VolumeId", "Description"))
    return alike and abs(it["StartTime"] - other["StartTime"]) <= AT_ONCE


def _age(it: Mapping[str, Any]) -> tuple[bool, datetime, str]:
    return it["State"] == "error", it["StartTime"], it["SnapshotId"]
