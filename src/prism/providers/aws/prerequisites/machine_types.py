"""The properties of a machine type, from EC2; they never change while a daemon runs."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from prism.providers.aws.api.cloud import Cloud

Architecture = Literal["x86_64", "arm64"]


class MachineTypeFacts(Struct, frozen=True, kw_only=True):
    """A machine type: its architecture, its memory, whether it can hibernate."""

    architecture: Architecture
    memory_mib: int
    burstable: bool  # it earns CPU credits, and with `unlimited` can spend more than it earned


def kind(cloud: Cloud, name: str) -> MachineTypeFacts:
    """Ask EC2 for the properties of a type."""
    [entry] = cloud.call("ec2", "DescribeInstanceTypes", InstanceTypes=[name])["InstanceTypes"]
    return read(entry)


def read(entry: Mapping[str, Any]) -> MachineTypeFacts:
    """One entry of DescribeInstanceTypes."""
    built = entry["ProcessorInfo"]["SupportedArchitectures"]
    return MachineTypeFacts(
        # the oldest types list i386 beside x86_64
        architecture="arm64" if "arm64" in built else "x86_64",
        memory_mib=entry["MemoryInfo"]["SizeInMiB"],
        burstable=entry.get("BurstablePerformanceSupported", False),
    )
