"""AWS's Free plan, which new accounts may have: it includes only a few machine types.

AWS Billing User Guide, "Choosing an AWS Free Tier plan"; EC2 refuses other types.
"""

from collections.abc import Collection

from prism.catalog.model import MachineType
from prism.catalog.plan import TYPES
from prism.providers.aws.api.cloud import Cloud

LEAST_MEMORY = 2  # GiB: with less, a template's packages cannot be installed
UPGRADE = (
    "upgrade the plan in AWS's console (Billing and Cost Management), then run `prism aws check`"
)


def free_types(cloud: Cloud) -> frozenset[str] | None:
    """The machine types of an account with the Free plan; None if it has no such limit."""
    plan = cloud.call("freetier", "GetAccountPlanState")
    if plan.get("accountPlanType") != "FREE":
        return None
    eligible = [{"Name": "free-tier-eligible", "Values": ["true"]}]
    kinds = cloud.pages("ec2", "DescribeInstanceTypes", "InstanceTypes", Filters=eligible)
    return frozenset(kind["InstanceType"] for kind in kinds)


def cheapest(names: Collection[str]) -> MachineType | None:
    """The smallest of Prism's types among these names that has memory for a template."""
    known = [kind for kind in TYPES.values() if kind.name in names]
    enough = [kind for kind in known if kind.memory_gib >= LEAST_MEMORY]
    return min(
        enough, key=lambda kind: (kind.architecture != "x86_64", kind.memory_gib), default=None
    )


def advice(names: Collection[str]) -> str:
    """The command that launches an included type, or what else helps."""
    chosen = cheapest(names)
    command = f"Use `prism launch --instance-type {chosen.name}`, or " if chosen else ""
    return f"{command}{UPGRADE}" if command else f"{UPGRADE[0].upper()}{UPGRADE[1:]}"
