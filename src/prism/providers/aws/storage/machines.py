"""What volumes need to know of a machine: its zone, its network, its disks."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from prism.errors import Unavailable
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import Missing
from prism.providers.aws.api.unreadable import read_item
from prism.providers.aws.compute.instance import HIBERNATED

OVER = {"shutting-down", "terminated"}


class MachineDisks(Struct, frozen=True, kw_only=True):
    """An EC2 machine; `disks` maps devices to volume ids."""

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
        """Whether the machine is terminated, or being terminated."""
        return self.state in OVER

    @property
    def on(self) -> bool:
        """Whether the machine runs."""
        return self.state == "running"


def find_machine(cloud: Cloud, id: str) -> MachineDisks | None:
    """The machine with this id; None if EC2 does not know it."""
    try:
        answer = cloud.call("ec2", "DescribeInstances", InstanceIds=[id])
    except Missing:
        return None
    instances = [
        instance for reservation in answer["Reservations"] for instance in reservation["Instances"]
    ]
    return read_item(id, lambda: _parse(instances[0])) if instances else None


def require_machine(cloud: Cloud, id: str) -> MachineDisks:
    """The machine with this id; raises `Unavailable` if EC2 does not know it."""
    if (machine := find_machine(cloud, id)) is None:
        raise Unavailable(f"EC2 does not know the machine {id} yet")
    return machine


def _parse(instance: Mapping[str, Any]) -> MachineDisks:
    disks = {
        block_device_mapping["DeviceName"]: block_device_mapping["Ebs"]["VolumeId"]
        for block_device_mapping in instance.get("BlockDeviceMappings", ())
        if "Ebs" in block_device_mapping
    }
    reason = (instance.get("StateReason") or {}).get("Code")
    return MachineDisks(
        id=instance["InstanceId"],
        state=instance["State"]["Name"],
        asleep=instance["State"]["Name"] == "stopped" and reason == HIBERNATED,
        zone=(instance.get("Placement") or {}).get("AvailabilityZone", ""),
        subnet=instance.get("SubnetId", ""),
        network=instance.get("VpcId", ""),
        groups=tuple(
            security_group["GroupId"] for security_group in instance.get("SecurityGroups", ())
        ),
        root=instance.get("RootDeviceName", ""),
        disks=disks,
    )
