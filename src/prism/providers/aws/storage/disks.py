"""EBS volumes. Each is in one zone, and is made before Prism knows the zone of its machine.

So a volume is made in a zone that depends only on its key. If a machine in another zone attaches
it first, Prism makes it again there: it is empty, or has the data of a snapshot, which still
exists. After that it stays in `Disk.zone`; other zones get `VolumeElsewhere`.

Others may have the tags of a volume: AWS Backup restores them too. A volume is that of a row only
if it also has the row's id, or was made to replace the volume with that id.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from zlib import crc32

from msgspec import Struct

from prism.errors import Problem, Unavailable
from prism.providers.aws.api.cloud import Answer, Cloud
from prism.providers.aws.api.faults import Missing, TokenMismatch, code_of
from prism.providers.aws.api.tagging import accepting
from prism.providers.aws.api.tags import ID_TAG, OUR_NAME, Tags, listed, read, specified
from prism.providers.aws.api.unreadable import ReadableItems, read_item
from prism.providers.aws.storage.machines import MachineDisks, find_machine, require_machine
from prism.providers.aws.storage.mounts import AttachedDisk, AwsMounts, DiskOrigin
from prism.providers.aws.storage.tags import (
    KIND,
    MOUNTED,
    REPLACES,
    RESTORED,
    USED,
    key_filter,
    kind_filter,
    known,
    put_back,
    untagged,
    volume_tags,
)
from prism.storage.model import StorageFailure, StorageObserved, VolumeElsewhere
from prism.storage.ports import Disk, StorageRefused, VolumeSpec, as_twin

DISK_STATES = {
    "creating": StorageObserved.MAKING,
    "available": StorageObserved.THERE,
    "in-use": StorageObserved.THERE,
    "deleting": StorageObserved.DELETING,
    "deleted": StorageObserved.GONE,
    "error": StorageObserved.BROKEN,
}
FAILED = StorageFailure("VOLUME_FAILED", "AWS could not make it; delete it and make another")
DEVICES = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")  # as AWS recommends for data
THERE = {"attached", "busy", "detaching"}
ATTACHABLE = {"running", "stopped"}  # machine states in which volumes can be attached or detached
UNKNOWN = "unknown"  # stands for the first machine if the tags were removed
TagsHook = Callable[[Mapping[str, Tags]], object]
PERFORMANCE = {"gp3": ("Iops", "Throughput"), "io2": ("Iops",)}


class _DescribedVolume(Struct, frozen=True):
    disk: Disk
    tags: Tags
    ours: bool
    precedence: tuple[bool, datetime, str]


class Disks:
    """The EBS volumes of one account and region."""

    def __init__(
        self, cloud: Cloud, mounts: AwsMounts, on_survey: TagsHook = lambda _: None
    ) -> None:
        """`on_survey` is called at each survey with the tags of all volumes, by id."""
        self._cloud, self._mounts, self._on_survey = cloud, mounts, on_survey
        self._zones: list[str] = []

    def survey(self) -> ReadableItems:
        """All our volumes; if two have the same key, the other one is a twin, with its own key."""
        filters = kind_filter("ebs")
        pages = self._cloud.pages("ec2", "DescribeVolumes", "Volumes", Filters=filters)
        listing = self._cloud.unreadable.read_each("VolumeId", pages, self._describe)
        by_key: dict[str, Disk] = {}
        twins: list[Disk] = []
        for described in sorted(listing.items, key=lambda it: it.precedence):
            if not (disk := described.disk).key:
                continue
            first = by_key.setdefault(disk.key, disk) if described.ours else None
            if first is None or (disk.id != first.id and not _is_move(disk, first)):
                twins.append(as_twin(disk, self.removal(disk.id)))
        self._on_survey({described.disk.id: described.tags for described in listing.items})
        return ReadableItems([*by_key.values(), *twins], listing.unreadable)

    def removal(self, id: str) -> str:
        """The command that removes a volume which is no row's."""
        return f"aws ec2 delete-volume --region {self._cloud.region} --volume-id {id}"

    def _describe(self, volume: Mapping[str, Any]) -> _DescribedVolume:
        volume = self._with_written_tags(dict(volume))
        tags = read(volume.get("Tags"))
        return _DescribedVolume(_disk(volume), tags, _is_ours(volume, tags), _precedence(volume))

    def find(self, id: str, spec: VolumeSpec) -> Disk | None:
        """The volume with this id, whatever its tags; adds the tags that it has lost.

        Its contents are unknown, so it counts as used: Prism never makes it again in another zone,
        and its file system keeps its id.
        """
        try:
            [volume] = self._cloud.call("ec2", "DescribeVolumes", VolumeIds=[id])["Volumes"]
        except Missing:
            return None
        described = read_item(id, lambda: self._describe(volume))
        expected = {**volume_tags(spec), USED: UNKNOWN, MOUNTED: ""}
        tags = put_back(partial(self._cloud.tag, id), id, described.tags, expected)
        return _disk({**volume, "Tags": listed({**tags, ID_TAG: spec.key})})

    def create(self, spec: VolumeSpec, snapshot: str | None = None) -> Disk:
        """Make a volume, empty or from a snapshot."""
        arguments: dict[str, Any] = {
            "AvailabilityZone": self._first_zone(spec.key),
            "ClientToken": spec.key,
            "Encrypted": True,
            "Size": spec.size_gb,
            "VolumeType": spec.volume_type or "gp3",
        }
        tags = volume_tags(spec)
        if snapshot is not None:
            arguments["SnapshotId"] = tags[RESTORED] = snapshot
        arguments["TagSpecifications"] = specified(tags, "volume")
        performance = {"Iops": spec.iops, "Throughput": spec.throughput}
        arguments |= {name: value for name, value in performance.items() if value is not None}
        try:
            volume = self._cloud.call("ec2", "CreateVolume", **arguments)
            return read_item(f"volume {spec.name}", lambda: _disk(volume))
        except TokenMismatch:  # another version of Prism made it, with other tags
            if same_key := self._of_key(spec.key):
                return _disk(same_key[0])
            raise Unavailable(f"Volume {spec.name} was made and is not visible yet") from None
        except Missing as gone:
            raise StorageRefused("The snapshot from which it should be made is gone") from gone

    def attach(self, id: str, machine: str, name: str) -> None:
        """Do the next step of attaching and mounting a volume on a machine."""
        host, volume = require_machine(self._cloud, machine), self._volume(id)
        if host.over:
            return
        if holder := next(iter(_holders(volume)), None):
            if holder["InstanceId"] != machine:
                raise StorageRefused(f"It is attached to {holder['InstanceId']}")
            if host.on and holder["State"] == "attached":
                self._mount(volume, host, holder["Device"], name)
        elif volume["State"] != "available":
            raise Unavailable(f"Volume {id} is {volume['State']}")
        elif volume["AvailabilityZone"] != host.zone:
            self._recreate_in_zone(volume, host.zone)
        else:
            self._attach_to_free_device(volume, host)

    def detach(self, id: str, machine: str) -> None:
        """Do the next step of unmounting and detaching a volume."""
        if not (volume := self._attached_volume(id, machine)):
            return
        host = find_machine(self._cloud, machine)
        if host is None or host.over:
            return  # EC2 detaches the volume when it has terminated the machine
        if host.asleep:
            raise Unavailable(f"Machine {machine} is hibernated: its memory still uses the volume")
        if host.state not in ATTACHABLE:
            return
        if host.on:
            self._mounts.leave(machine, id)
        if read(volume.get("Tags")).get(MOUNTED):
            self._tag(id, MOUNTED, "")
        with accepting("IncorrectState"):  # it has been detached meanwhile
            self._cloud.call("ec2", "DetachVolume", VolumeId=id, InstanceId=machine)

    def delete(self, id: str) -> None:
        """Delete a volume, and an empty one that it replaces or that replaces it."""
        for volume_id in {id, *self._moves_of(id)}:
            try:
                self._cloud.call("ec2", "DeleteVolume", VolumeId=volume_id)
            except Missing:
                continue
            except Problem as error:
                if code_of(error) == "IncorrectState":
                    raise Unavailable(f"Volume {volume_id} is not ready to be deleted") from error
                raise

    def _moves_of(self, id: str) -> list[str]:
        """The other volume of a move between zones that did not end; others have its tags too."""
        try:
            volume = self._volume(id)
        except Unavailable:
            return []
        this, key = _disk(volume), read(volume.get("Tags")).get(ID_TAG)
        same_key = map(_disk, self._of_key(key)) if key else ()
        return [disk.id for disk in same_key if disk.id != id and _is_move(disk, this)]

    # ---------------------------------------------------------------- steps
    def _recreate_in_zone(self, volume: Mapping[str, Any], zone: str) -> None:
        """Make a volume again in another zone; raises if it may contain data."""
        tags = read(volume.get("Tags"))
        if _may_hold_data(tags):
            raise elsewhere(
                tags.get(OUR_NAME, volume["VolumeId"]), volume["AvailabilityZone"], zone
            )
        arguments = {
            "AvailabilityZone": zone,
            "ClientToken": f"{tags[ID_TAG]}-{volume['VolumeId']}",
            "Encrypted": True,
            "Size": volume["Size"],
            "TagSpecifications": specified(
                {**_own_tags(tags), REPLACES: volume["VolumeId"]}, "volume"
            ),
            "VolumeType": volume["VolumeType"],
        }
        arguments |= {
            name: volume[name]
            for name in PERFORMANCE.get(volume["VolumeType"], ())
            if volume.get(name)
        }
        if snapshot := volume.get("SnapshotId"):
            arguments["SnapshotId"] = snapshot
        try:
            self._cloud.call("ec2", "CreateVolume", **arguments)
        except Missing as gone:
            raise elsewhere(tags.get(OUR_NAME, ""), volume["AvailabilityZone"], zone) from gone
        # Last, because after an interruption the old one is found and moved again.
        with accepting("InvalidVolume.NotFound"):
            self._cloud.call("ec2", "DeleteVolume", VolumeId=volume["VolumeId"])

    def _attach_to_free_device(self, volume: Mapping[str, Any], host: MachineDisks) -> None:
        """Attach a volume to the next free device."""
        id, tags = volume["VolumeId"], read(volume.get("Tags"))
        if host.asleep:
            raise Unavailable(f"Machine {host.id} is hibernated, so no volume can be attached")
        if host.state not in ATTACHABLE:
            return
        if _origin(volume) == "copy":
            # The volume may be a copy of a root disk, with the same ids, and a machine that boots
            # now might boot from it. A booted machine changes the ids before it mounts it.
            if not host.on:
                raise Unavailable(f"Machine {host.id} has to run to get a restored volume")
            self._mounts.answers(host.id)
        if USED not in tags:
            self._tag(id, USED, host.id)
        for device in (free for free in DEVICES if free not in host.disks):
            try:
                arguments = {"VolumeId": id, "InstanceId": host.id, "Device": device}
                self._cloud.call("ec2", "AttachVolume", **arguments)
                return
            except Problem as error:
                if code_of(error) in {"IncorrectState", "VolumeInUse"}:  # the next step checks
                    raise Unavailable(f"{id} cannot be attached yet: {error.message}") from error
                if "already in use" not in error.message:  # another call has taken the device
                    raise
        raise StorageRefused(
            f"Machine {host.id} has {len(DEVICES)} volumes already: there is no free device"
        )

    def _mount(self, volume: Answer, host: MachineDisks, device: str, name: str) -> None:
        id, tags = volume["VolumeId"], read(volume.get("Tags"))
        if tags.get(MOUNTED) == host.id:
            return
        self._mounts.disk(host.id, AttachedDisk(id, device, volume["Size"], _origin(volume)), name)
        self._tag(id, MOUNTED, host.id)

    def _tag(self, id: str, key: str, value: str) -> None:
        self._cloud.tag(id, {key: value})

    # ---------------------------------------------------------------- looks
    def _volume(self, id: str) -> Answer:
        try:
            volumes: list[Answer] = self._cloud.call("ec2", "DescribeVolumes", VolumeIds=[id])[
                "Volumes"
            ]
        except Missing as unseen:
            raise Unavailable(f"EC2 does not know the volume {id}, or not yet") from unseen
        if not volumes or KIND not in read(volumes[0].get("Tags")):
            raise untagged(id, "ebs")
        return self._with_written_tags(volumes[0])

    def _attached_volume(self, id: str, machine: str) -> Answer:
        """The volume, if it is attached to this machine and not being detached."""
        try:
            volume = self._volume(id)
        except Unavailable:
            return {}
        attachments = {(holder["InstanceId"], holder["State"]) for holder in _holders(volume)}
        return volume if attachments & {(machine, "attached"), (machine, "busy")} else {}

    def _of_key(self, key: str) -> list[Answer]:
        filters = key_filter("ebs", key)
        volumes = list(self._cloud.pages("ec2", "DescribeVolumes", "Volumes", Filters=filters))

        def written() -> list[Answer]:
            return sorted(map(self._with_written_tags, volumes), key=_precedence)

        return read_item(f"a volume with the key {key}", written)

    def _with_written_tags(self, answer: Answer) -> Answer:
        return dict(self._cloud.written.over(answer["VolumeId"], answer))

    def _first_zone(self, key: str) -> str:
        """A zone that depends only on the key, so that a repeated call has the same one."""
        if not self._zones:
            self._zones = self._available_zones()
        return self._zones[crc32(key.encode()) % len(self._zones)]

    def _available_zones(self) -> list[str]:
        criteria = {"state": "available", "zone-type": "availability-zone"}
        filters = [{"Name": name, "Values": [value]} for name, value in criteria.items()]
        answer = self._cloud.call("ec2", "DescribeAvailabilityZones", Filters=filters)
        zones = [
            availability_zone["ZoneName"] for availability_zone in answer["AvailabilityZones"]
        ]
        if not zones:
            raise StorageRefused("The region has no zone that is available")
        return sorted(zones)


def elsewhere(name: str, zone: str, target: str) -> VolumeElsewhere:
    """The problem that a volume and its workspace are in different zones."""
    return VolumeElsewhere(
        f"Volume {name!r} is in {zone} and the workspace in {target}: a disk stays in its zone. "
        f"Launch a workspace with `--volume {name}`, which goes to {zone}; or take a snapshot "
        "and restore it: the new volume goes wherever it is attached first",
        data={"zone": zone, "wanted": target},
    )


def _origin(volume: Mapping[str, Any]) -> DiskOrigin:
    if not volume.get("SnapshotId"):
        return "new"
    return "old" if MOUNTED in read(volume.get("Tags")) else "copy"


def _disk(volume: Mapping[str, Any]) -> Disk:
    tags, holders = read(volume.get("Tags")), _holders(volume)
    attached = frozenset(holder["InstanceId"] for holder in holders if holder["State"] in THERE)
    state = DISK_STATES[volume["State"]]
    mounted = {tags[MOUNTED]} if MOUNTED in tags else set()
    return Disk(
        id=volume["VolumeId"],
        key=tags.get(ID_TAG, ""),
        observed=state,
        attached=attached,
        unmounted=attached - mounted,
        zone=volume["AvailabilityZone"] if _may_hold_data(tags) else None,
        trouble=FAILED if state is StorageObserved.BROKEN else None,
        replaces=tags.get(REPLACES),
        known=known(
            tags,
            size_gb=volume.get("Size"),
            volume_type=volume.get("VolumeType"),
            iops=volume.get("Iops") if volume.get("VolumeType") in PERFORMANCE else None,
            throughput=volume.get("Throughput"),
            created_at=volume.get("CreateTime"),
        ),
    )


def _is_ours(volume: Mapping[str, Any], tags: Tags) -> bool:
    """Whether it has the data that Prism gave it: a restored copy has another snapshot."""
    return tags.get(RESTORED, "") == (volume.get("SnapshotId") or "")


def _is_move(first: Disk, second: Disk) -> bool:
    """Whether one of two empty volumes was made to replace the other in another zone."""
    return first.zone is second.zone is None and (
        first.replaces == second.id or second.replaces == first.id
    )


def _holders(volume: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        attachment
        for attachment in volume.get("Attachments") or ()
        if attachment.get("State") != "detached"
    ]


def _precedence(volume: Mapping[str, Any]) -> tuple[bool, datetime, str]:
    """Sort key: used volumes first, then the oldest, which is the source of a move."""
    return not _may_hold_data(read(volume.get("Tags"))), volume["CreateTime"], volume["VolumeId"]


def _may_hold_data(tags: Tags) -> bool:
    """Whether a volume may contain data; two tags show it, in case one was removed."""
    return USED in tags or MOUNTED in tags


def _own_tags(tags: Tags) -> Tags:
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}
