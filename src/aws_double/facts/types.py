"""Instance types, from moto's recording of DescribeInstanceTypes."""

from itertools import takewhile
from typing import Any, cast

from aws_double.facts.zones import recorded
from aws_double.refusals import invalid

Type = dict[str, Any]
# EC2 User Guide, "Standard mode for burstable performance instances": only T2 has launch credits.
LAUNCH_CREDITS = {"t2"}
# The same, "Key concepts for burstable performance instances": percent of each vCPU.
BASELINE = {"nano": 5, "micro": 10, "small": 20, "medium": 20, "large": 30, "xlarge": 40}
BASELINE |= {"2xlarge": 40}
OTHERS = {"dl", "hpc", "inf", "mac", "trn"}  # their quotas are their own


def types() -> dict[str, Type]:
    """Every type by name, as EC2 describes it."""
    return cast(dict[str, Type], recorded("instance_types.json.gz"))


def type_of(name: str) -> Type:
    """One type, or EC2's refusal."""
    if (type := types().get(name)) is None:
        raise invalid(f"Invalid value '{name}' for InstanceType.")
    return type


def architectures(of: Type) -> list[str]:
    """What it can run."""
    return cast(list[str], of["ProcessorInfo"]["SupportedArchitectures"])


def vcpus(of: Type) -> int:
    """How many processors it has."""
    return cast(int, of["VCpuInfo"]["DefaultVCpus"])


def launch_share(type: str) -> float:
    """The share of one CPU that a machine with standard credits has when it begins."""
    family, _, size = type.partition(".")
    if family in LAUNCH_CREDITS or size not in BASELINE:
        return 1.0
    return min(1.0, BASELINE[size] / 100 * vcpus(type_of(type)))


def memory_gib(of: Type) -> float:
    """How much RAM it has."""
    return cast(int, of["MemoryInfo"]["SizeInMiB"]) / 1024


def quota_of(name: str) -> str:
    """Which quota of vCPUs the type counts against; empty if the double has none for it."""
    family = "".join(takewhile(str.isalpha, name))
    if family in {"g", "gr", "vt"}:
        return "gpu"
    if family == "p":
        return "p"
    return "standard" if family[0] in "acdhimrtz" and family not in OTHERS else ""
