"""What EC2 says of a machine type; it never changes while a daemon lives."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from prism.providers.aws.api.cloud import Cloud

Architecture = Literal["x86_64", "arm64"]


class MachineTypeFacts(Struct, frozen=True, kw_only=True):
    """A machine type: what it is built like, how much memory it has, whether it can sleep."""

    name: str
    architecture: Architecture
    memory_mib: int
    vcpus: int
    gpus: int
    hibernates: bool
    spot: bool
    burstable: bool  # it earns CPU credits, and may be let spend more than it earns
    nitro: bool  # disks are NVMe there, whatever their device is called


def kind(cloud: Cloud, name: str) -> MachineTypeFacts:
    """Ask for one type; raises what `Cloud.call` raises where there is none of that name."""
    [said] = cloud.call("ec2", "DescribeInstanceTypes", InstanceTypes=[name])["InstanceTypes"]
    return read(said)


def read(said: Mapping[str, Any]) -> MachineTypeFacts:
    """One entry of DescribeInstanceTypes."""
    built = said["ProcessorInfo"]["SupportedArchitectures"]
    gpus = said.get("GpuInfo", {}).get("Gpus", [])
    return MachineTypeFacts(
        name=said["InstanceType"],
        # i386 stands beside x86_64 at the oldest types
        architecture="arm64" if "arm64" in built else "x86_64",
        memory_mib=said["MemoryInfo"]["SizeInMiB"],
        vcpus=said["VCpuInfo"]["DefaultVCpus"],
        gpus=sum(gpu.get("Count", 0) for gpu in gpus),
        hibernates=said.get("HibernationSupported", False),
        spot="spot" in said.get("SupportedUsageClasses", []),
        burstable=said.get("BurstablePerformanceSupported", False),
        nitro=said.get("Hypervisor") == "nitro" or bool(said.get("BareMetal")),
    )
