"""What Prism has made in an account beside workspaces and storage: security groups, key pairs.

They cost nothing and are made anew when they are needed. Their names contain the fingerprint of a
key in this home, so they are never those of another home. The group of shared file systems belongs
to a network, and EC2 refuses to delete it while anybody uses it.
"""

from collections.abc import Collection, Iterator

from msgspec import Struct

from prism.errors import Problem
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import AwsRefused, code_of
from prism.providers.aws.api.tags import OURS
from prism.providers.aws.network.groups import group_name
from prism.providers.aws.storage.filesystems import GROUP

IN_USE = "DependencyViolation"


class Leftover(Struct, frozen=True, kw_only=True):
    """A group or a key pair of ours; `problem` says why it could not be deleted."""

    kind: str
    id: str
    name: str
    problem: str = ""


def leftovers(cloud: Cloud, fingerprints: Collection[str]) -> list[Leftover]:
    """The groups and key pairs of these keys; groups first, as they must be deleted."""
    if not fingerprints:
        return []
    return [*_groups(cloud, fingerprints), *_key_pairs(cloud, fingerprints)]


def delete(cloud: Cloud, leftover: Leftover) -> Leftover:
    """Delete it; the answer has a `problem` if something still uses it, or AWS refuses."""
    try:
        if leftover.kind == "key pair":
            cloud.call("ec2", "DeleteKeyPair", KeyPairId=leftover.id)
        else:
            cloud.call("ec2", "DeleteSecurityGroup", GroupId=leftover.id)
    except AwsRefused as refusal:
        problem = "it is still in use" if code_of(refusal) == IN_USE else refusal.message
        return Leftover(kind=leftover.kind, id=leftover.id, name=leftover.name, problem=problem)
    except Problem as problem:
        text = problem.message
        return Leftover(kind=leftover.kind, id=leftover.id, name=leftover.name, problem=text)
    return leftover


def _groups(cloud: Cloud, fingerprints: Collection[str]) -> Iterator[Leftover]:
    own = {group_name(fingerprint, ()) for fingerprint in fingerprints}
    names = [*sorted(own), *(f"{name}-*" for name in sorted(own)), GROUP]
    filters = [*OURS, {"Name": "group-name", "Values": names}]
    for group in cloud.pages("ec2", "DescribeSecurityGroups", "SecurityGroups", Filters=filters):
        yield Leftover(kind="security group", id=group["GroupId"], name=group["GroupName"])


def _key_pairs(cloud: Cloud, fingerprints: Collection[str]) -> Iterator[Leftover]:
    for pair in cloud.call("ec2", "DescribeKeyPairs", Filters=[*OURS])["KeyPairs"]:
        if pair["KeyName"].rpartition("-")[2] in fingerprints:
            yield Leftover(kind="key pair", id=pair["KeyPairId"], name=pair["KeyName"])
