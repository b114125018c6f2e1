"""What Prism has made in an account beside workspaces and storage: security groups, key pairs.

They cost nothing and are made anew when they are needed. Their names contain the fingerprint of a
key in this home, so they are never those of another home. The group of shared file systems belongs
to a network, and EC2 refuses to delete it while anybody uses it.
"""

from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from prism.errors import Problem
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import code_of
from prism.providers.aws.api.tags import OWN_FILTER
from prism.providers.aws.network.groups import group_name
from prism.providers.aws.storage.filesystems import EFS_GROUP

IN_USE = "DependencyViolation"
KEY_PAIR = "key pair"


class AccountResource(Struct, frozen=True, kw_only=True):
    """A group or a key pair of ours; `problem` says why it could not be deleted."""

    kind: str
    id: str
    name: str
    problem: str = ""


def leftovers(cloud: Cloud, fingerprints: Collection[str]) -> list[AccountResource]:
    """The groups and key pairs of these keys; groups first, as they must be deleted."""
    if not fingerprints:
        return []
    return [*_groups(cloud, fingerprints), *_key_pairs(cloud, fingerprints)]


def delete_all(cloud: Cloud, items: Iterable[AccountResource]) -> list[AccountResource]:
    """Delete them in order; the key stays while a group does, because it leads to the groups."""
    answers: list[AccountResource] = []
    for item in items:
        stays = item.kind == KEY_PAIR and any(answer.problem for answer in answers)
        answers.append(
            replace(item, problem="its groups are still in use") if stays else delete(cloud, item)
        )
    return answers


def delete(cloud: Cloud, item: AccountResource) -> AccountResource:
    """Delete it; the answer has a `problem` if something still uses it, or AWS refuses."""
    try:
        if item.kind == KEY_PAIR:
            cloud.call("ec2", "DeleteKeyPair", KeyPairId=item.id)
        else:
            _forget_in_shared_group(cloud, item.id)
            cloud.call("ec2", "DeleteSecurityGroup", GroupId=item.id)
    except Problem as problem:
        in_use = code_of(problem) == IN_USE
        return replace(item, problem="it is still in use" if in_use else problem.message)
    return item


def _forget_in_shared_group(cloud: Cloud, id: str) -> None:
    """Remove a group from the rules of the one for file systems, which would hold it.

    EC2 API Reference, "DeleteSecurityGroup": not while another group refers to it.
    """
    named = [*OWN_FILTER, {"Name": "group-name", "Values": [EFS_GROUP]}]
    for group in cloud.pages("ec2", "DescribeSecurityGroups", "SecurityGroups", Filters=named):
        rules = [
            {
                "IpProtocol": rule["IpProtocol"],
                "FromPort": rule["FromPort"],
                "ToPort": rule["ToPort"],
                "UserIdGroupPairs": [{"GroupId": id}],
            }
            for rule in group.get("IpPermissions", ())
            if any(pair.get("GroupId") == id for pair in rule.get("UserIdGroupPairs", ()))
        ]
        if rules and group["GroupId"] != id:
            cloud.call(
                "ec2",
                "RevokeSecurityGroupIngress",
                GroupId=group["GroupId"],
                IpPermissions=rules,
            )


def _groups(cloud: Cloud, fingerprints: Collection[str]) -> Iterator[AccountResource]:
    own = {group_name(fingerprint, ()) for fingerprint in fingerprints}
    names = [*sorted(own), *(f"{name}-*" for name in sorted(own)), EFS_GROUP]
    filters = [*OWN_FILTER, {"Name": "group-name", "Values": names}]
    for group in cloud.pages("ec2", "DescribeSecurityGroups", "SecurityGroups", Filters=filters):
        yield AccountResource(kind="security group", id=group["GroupId"], name=group["GroupName"])


def _key_pairs(cloud: Cloud, fingerprints: Collection[str]) -> Iterator[AccountResource]:
    for pair in cloud.call("ec2", "DescribeKeyPairs", Filters=[*OWN_FILTER])["KeyPairs"]:
        if pair["KeyName"].rpartition("-")[2] in fingerprints:
            yield AccountResource(kind=KEY_PAIR, id=pair["KeyPairId"], name=pair["KeyName"])
