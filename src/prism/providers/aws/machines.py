"""A machine, as far as volumes have to know it: where it stands and what it has."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from prism.providers.aws.cloud import Cloud
from prism.providers.aws.faults import Missing
from prism.providers.aws.instance import HIBERNATED

OVER = {"shutting-down", "terminated"}


class Standing(Struct, frozen=True, kw_only=True):
    """One machine of EC2; `disks` are the ids of volumes by device."""

    id: str
    state: str
    asleep: bool
    zone: str
    subnet: str
    network: str
    groups: tuple[str, ...]
    root: str
    disks: Mapping[str, str]

    @property
    def over(self) -> bool:
        """Whether it was, or is being, destroyed."""
        return self.state in OVER

    @property
    def on(self) -> bool:
        """Whether somebody may answer there."""
        return self.state == "running"


def standing(cloud: Cloud, id: str) -> Standing | None:
    """The machine with this id, if EC2 knows it."""
    try:
        answer = cloud.call("ec2", "DescribeInstances", InstanceIds=[id])
    except Missing:
        return None
    found = [it for one in answer["Reservations"] for it in one["Instances"]]
    return _read(found[0]) if found else None


def _read(it: Mapping[str, Any]) -> Standing:
    disks = {
        one["DeviceName"]: one["Ebs"]["VolumeId"]
        for one in it.get("BlockDeviceMappings", ())
        if "Ebs" in one
    }
    reason = (it.get("StateReason") or {}).get("Code")
    return Standing(
        id=it["InstanceId"],
        state=it["State"]["Name"],
        asleep=it["State"]["Name"] == "stopped" and reason == HIBERNATED,
        zone=(it.get("Placement") or {}).get("AvailabilityZone", ""),
        subnet=it.get("SubnetId", ""),
        network=it.get("VpcId", ""),
        groups=tuple(one["GroupId"] for one in it.get("SecurityGroups", ())),
        root=it.get("RootDeviceName", ""),
        disks=disks,
    )
