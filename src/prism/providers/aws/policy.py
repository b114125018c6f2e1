"""The least policy of IAM that lets Prism work: made from `ACTIONS`, action by action.

Where IAM can tell, Prism may change only what it has made: everything is made with the tag
`prism:managed`, and only what carries it may be changed. Whoever attaches the policy gives
nothing away of what else is in the account, except that it can be seen.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from prism.providers.aws.actions import ACTIONS, PREFIXES, reads

VERSION = "2012-10-17"
MANAGED = "prism:managed"
Condition = Mapping[str, Mapping[str, str | tuple[str, ...]]]
NEW: Condition = {"StringEquals": {f"aws:RequestTag/{MANAGED}": "true"}}
OURS: Condition = {"StringEquals": {f"aws:ResourceTag/{MANAGED}": "true"}}
ANYTHING = ("*",)
EC2, ROLE = "arn:{partition}:ec2:*:{account}:", "arn:{partition}:iam::{account}:"


class Rule(Struct, frozen=True, kw_only=True):
    """Some actions, on what, and on which condition; names as boto3 has them."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ANYTHING
    condition: Condition | None = None


def _ec2(*kinds: str) -> tuple[str, ...]:
    return tuple(f"{EC2}{kind}/*" for kind in kinds)


RULES = (
    Rule(
        sid="ReadSystemImages",
        actions=("ssm:GetParameter",),
        resources=("arn:{partition}:ssm:*::parameter/aws/service/*",),
    ),
    Rule(
        sid="LaunchWhatIsTagged",
        actions=("ec2:RunInstances",),
        resources=_ec2("instance", "volume", "network-interface", "spot-instances-request"),
        condition=NEW,
    ),
    Rule(
        sid="LaunchFromImages",
        actions=("ec2:RunInstances",),
        resources=("arn:{partition}:ec2:*::image/*", "arn:{partition}:ec2:*::snapshot/*"),
    ),
    Rule(sid="LaunchInSubnets", actions=("ec2:RunInstances",), resources=_ec2("subnet")),
    Rule(
        sid="LaunchWithOurKeysAndGroups",
        actions=("ec2:RunInstances",),
        resources=_ec2("key-pair", "security-group"),
        condition=OURS,
    ),
    Rule(
        sid="MakeWhatIsTagged",
        actions=(
            "ec2:CreateSecurityGroup",
            "ec2:CreateSnapshot",
            "ec2:CreateVolume",
            "ec2:ImportKeyPair",
            "efs:CreateFileSystem",
        ),
        condition=NEW,
    ),
    Rule(sid="MakeGroupsInAnyVpc", actions=("ec2:CreateSecurityGroup",), resources=_ec2("vpc")),
    Rule(
        sid="TagWhatIsMade",
        actions=("ec2:CreateTags",),
        condition={
            "StringEquals": {
                "ec2:CreateAction": (
                    "CreateSecurityGroup",
                    "CreateSnapshot",
                    "CreateVolume",
                    "ImportKeyPair",
                    "RunInstances",
                )
            }
        },
    ),
    Rule(
        sid="ChangeOurs",
        actions=(
            "ec2:AttachVolume",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:CancelSpotInstanceRequests",
            "ec2:CreateSnapshot",
            "ec2:CreateTags",
            "ec2:CreateVolume",
            "ec2:DeleteSnapshot",
            "ec2:DeleteTags",
            "ec2:DeleteVolume",
            "ec2:DetachVolume",
            "ec2:GetConsoleOutput",
            "ec2:ModifyInstanceAttribute",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:StartInstances",
            "ec2:StopInstances",
            "ec2:TerminateInstances",
            "efs:CreateMountTarget",
            "efs:DeleteFileSystem",
            "efs:DeleteMountTarget",
            "efs:TagResource",
            "efs:UntagResource",
        ),
        condition=OURS,
    ),
    Rule(
        sid="TagNewFileSystems",
        actions=("efs:TagResource",),
        condition={"StringEquals": {"elasticfilesystem:CreateAction": "CreateFileSystem"}},
    ),
    # EFS makes the network interface of a mount target by the caller's own right.
    Rule(
        sid="ConnectFileSystems",
        actions=(
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
        ),
    ),
    Rule(
        sid="MakeTheRoleOfMachines",
        actions=(
            "iam:AddRoleToInstanceProfile",
            "iam:CreateInstanceProfile",
            "iam:CreateRole",
            "iam:GetInstanceProfile",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:PutRolePolicy",
            "iam:TagInstanceProfile",
            "iam:TagRole",
        ),
        resources=(f"{ROLE}role/prism-machine-*", f"{ROLE}instance-profile/prism-machine-*"),
    ),
    Rule(
        sid="GiveMachinesTheirRole",
        actions=("iam:PassRole",),
        resources=(f"{ROLE}role/prism-machine-*",),
        condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    ),
    # The first spot machine, and the first file system, of an account.
    Rule(
        sid="LetServicesBegin",
        actions=("iam:CreateServiceLinkedRole",),
        condition={
            "StringEquals": {
                "iam:AWSServiceName": ("spot.amazonaws.com", "elasticfilesystem.amazonaws.com")
            }
        },
    ),
    Rule(
        sid="OpenTheConsole",
        actions=("sts:GetFederationToken",),
        resources=("arn:{partition}:sts::{account}:federated-user/prism",),
    ),
)
IMPLIED = frozenset(
    {
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "iam:CreateServiceLinkedRole",
        "iam:PassRole",
        "iam:TagInstanceProfile",
        "iam:TagRole",
    }
)
"""What Prism never calls, and what AWS asks for before it does what Prism calls."""


def rules(actions: Iterable[str] = ACTIONS) -> tuple[Rule, ...]:
    """The rules for these actions and what they imply; none gives more than is called."""
    wanted = frozenset(actions) | IMPLIED
    fit = [
        Rule(sid=it.sid, actions=kept, resources=it.resources, condition=it.condition)
        for it in RULES
        if (kept := tuple(action for action in it.actions if action in wanted))
    ]
    told = {action for it in RULES for action in it.actions}
    looks = sorted(it for it in wanted - told if reads(it.partition(":")[2]))
    rest = sorted(wanted - told - set(looks))
    first = [Rule(sid="Look", actions=tuple(looks))] if looks else []
    last = [Rule(sid="Rest", actions=tuple(rest))] if rest else []
    return (*first, *fit, *last)


def policy(partition: str = "aws", account: str = "*") -> dict[str, Any]:
    """The policy, as IAM takes it."""
    where = {"partition": partition, "account": account}
    return {"Version": VERSION, "Statement": [_statement(it, where) for it in rules()]}


def named(action: str) -> str:
    """An action as a policy names it."""
    service, _, name = action.partition(":")
    return f"{PREFIXES.get(service, service)}:{name}"


def _statement(rule: Rule, where: Mapping[str, str]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "Sid": rule.sid,
        "Effect": "Allow",
        "Action": _plain([named(it) for it in rule.actions]),
        "Resource": _plain([it.format_map(where) for it in rule.resources]),
    }
    if rule.condition:
        said["Condition"] = {
            test: {key: _plain(value) for key, value in keys.items()}
            for test, keys in rule.condition.items()
        }
    return said


def _plain(values: Iterable[str] | str) -> str | list[str]:
    """One value stands alone, as people write policies."""
    if isinstance(values, str):
        return values
    found = [*values]
    return found[0] if len(found) == 1 else found
