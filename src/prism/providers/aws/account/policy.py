"""The two IAM policies that Prism prints: for daily use, and for `prism aws setup`.

The daily policy is made from `ACTIONS`, action by action. Prism creates every resource with the
tag `prism:managed`, and where IAM can check tags, the policy allows changes only of resources with
that tag. The policy does not allow creating or changing roles, so its holder cannot gain further
rights; a test checks the known ways. An administrator runs the setup once, to create the role of
machines.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from prism.providers.aws.api.actions import ACTIONS, PREFIXES, SETUP_ACTIONS, reads
from prism.providers.aws.prerequisites.images import BASES, CANONICAL
from prism.providers.aws.prerequisites.roles import NAME as MACHINE_ROLE

VERSION = "2012-10-17"
SSO_ROLE, SSO_SUFFIX = "AWSReservedSSO_", re.compile(r"_[0-9a-f]{16}\Z")
MAX_POLICY_CHARACTERS = 6144  # of a managed policy, blanks not counted (IAM quotas)
MANAGED, USER = "prism:managed", "prism:user"
# The actions by which something begins to cost money in a region.
MAKING = ("ec2:Create*", "ec2:RunInstances", "ec2:StartInstances", "elasticfilesystem:Create*")
Condition = Mapping[str, Mapping[str, str | tuple[str, ...]]]
NEW: Condition = {"StringEquals": {f"aws:RequestTag/{MANAGED}": "true"}}
OWN_RESOURCES: Condition = {"StringEquals": {f"aws:ResourceTag/{MANAGED}": "true"}}
ANYTHING = ("*",)
EC2, ROLE = "arn:{partition}:ec2:*:{account}:", "arn:{partition}:iam::{account}:"
# Another account may own the subnets and VPCs, and share them (AWS RAM).
SHARED = "arn:{partition}:ec2:*:*:"
THE_ROLE = f"{ROLE}role/{MACHINE_ROLE}"
THE_PROFILE = f"{ROLE}instance-profile/{MACHINE_ROLE}"
# Service Authorization Reference, "Condition keys for Amazon EC2": `ec2:InstanceProfile` is an
# ARN. An instance that EC2 relaunches for a spot request has this profile, but no tags.
WITH_OUR_PROFILE: Condition = {"ArnLike": {"ec2:InstanceProfile": THE_PROFILE}}
# IAM User Guide, "AWS global condition context keys": true if a service makes the call for its
# caller.
BY_A_SERVICE: Condition = {"Bool": {"aws:ViaAWSService": "true"}}
TO_EC2: Condition = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}


# Service Authorization Reference, "Condition keys for Amazon EC2": `ec2:Owner` is an account, or
# `amazon`. Canonical has an account in each partition.
IMAGE_OWNERS = (
    *sorted({base.owner for base in BASES.values()} - {CANONICAL["aws"]}),
    "{canonical}",
)
OwnMachines = Literal["tag", "username"]
# Which value of the caller the tag `prism:user` must have; they are IAM's policy variables.
OWN: Mapping[OwnMachines, str] = {
    "tag": f"${{{{aws:PrincipalTag/{USER}}}}}",
    "username": "${{aws:username}}",
}
OWNED = {
    "LaunchMachines",
    "LaunchWhatIsTagged",
    "MakeVolumes",
    "MakeSnapshots",
    "MakeFileSystems",
    "ChangeOurs",
    "StartOurs",
}
"""The statements about what has the tag `prism:user`."""


class PolicyLimits(Struct, frozen=True, kw_only=True):
    """Optional limits of the daily policy; an empty tuple does not limit.

    With `own_machines`, the holder changes only what has the holder's name in its `prism:user`.
    `role` is the name of the role that holds the policy; without it, a user does.
    `types` may contain `*`. Without a limit, all changes of machines of Prism are allowed.
    """

    own_machines: OwnMachines | None = None
    role: str | None = None
    types: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    vpcs: tuple[str, ...] = ()


class PolicyStatement(Struct, frozen=True, kw_only=True):
    """Allowed actions, their resources, and the condition; services are named as in boto3."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ANYTHING
    condition: Condition | None = None


def _ec2(*kinds: str) -> tuple[str, ...]:
    return tuple(f"{EC2}{kind}/*" for kind in kinds)


RULES = (
    PolicyStatement(
        sid="ReadSystemImages",
        actions=("ssm:GetParameter",),
        resources=("arn:{partition}:ssm:*::parameter/aws/service/*",),
    ),
    PolicyStatement(
        sid="LaunchMachines",
        actions=("ec2:RunInstances",),
        resources=_ec2("instance"),
        condition=NEW,
    ),
    PolicyStatement(
        sid="LaunchWhatIsTagged",
        actions=("ec2:RunInstances",),
        resources=_ec2("volume", "network-interface", "spot-instances-request"),
        condition=NEW,
    ),
    # Only of the publishers, and no snapshots: a launch would show what is in the account's own.
    PolicyStatement(
        sid="LaunchFromImages",
        actions=("ec2:RunInstances",),
        resources=("arn:{partition}:ec2:*::image/*",),
        condition={"StringEquals": {"ec2:Owner": IMAGE_OWNERS}},
    ),
    PolicyStatement(
        sid="LaunchInSubnets", actions=("ec2:RunInstances",), resources=(f"{SHARED}subnet/*",)
    ),
    PolicyStatement(
        sid="LaunchWithOurKeysAndGroups",
        actions=("ec2:RunInstances",),
        resources=_ec2("key-pair", "security-group"),
        condition=OWN_RESOURCES,
    ),
    PolicyStatement(
        sid="MakeWhatIsTagged",
        actions=("ec2:CreateSecurityGroup", "ec2:ImportKeyPair"),
        resources=_ec2("key-pair", "security-group"),
        condition=NEW,
    ),
    # Each on its own kind only: the tags of a request are also there when AWS judges the snapshot
    # or volume that something is made of, which must be ours (`ChangeOurs`).
    PolicyStatement(
        sid="MakeVolumes",
        actions=("ec2:CreateVolume",),
        resources=_ec2("volume"),
        condition=NEW,
    ),
    PolicyStatement(
        sid="MakeSnapshots",
        actions=("ec2:CreateSnapshot",),
        resources=("arn:{partition}:ec2:*::snapshot/*",),
        condition=NEW,
    ),
    PolicyStatement(sid="MakeFileSystems", actions=("efs:CreateFileSystem",), condition=NEW),
    PolicyStatement(
        sid="MakeGroupsInAnyVpc",
        actions=("ec2:CreateSecurityGroup",),
        resources=(f"{SHARED}vpc/*",),
    ),
    PolicyStatement(
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
    PolicyStatement(
        sid="ChangeOurs",
        actions=(
            "ec2:AttachVolume",
            "ec2:CancelSpotInstanceRequests",
            "ec2:CreateSnapshot",
            "ec2:CreateTags",
            "ec2:CreateVolume",
            "ec2:DeleteKeyPair",
            "ec2:DeleteSecurityGroup",
            "ec2:DeleteSnapshot",
            "ec2:DeleteTags",
            "ec2:DeleteVolume",
            "ec2:DetachVolume",
            "ec2:GetConsoleOutput",
            "ec2:ModifyInstanceAttribute",
            "ec2:ModifyInstanceCreditSpecification",
            "ec2:StopInstances",
            "ec2:TerminateInstances",
            "efs:CreateMountTarget",
            "efs:DeleteFileSystem",
            "efs:DeleteMountTarget",
            "efs:TagResource",
            "efs:UntagResource",
        ),
        condition=OWN_RESOURCES,
    ),
    PolicyStatement(sid="StartOurs", actions=("ec2:StartInstances",), condition=OWN_RESOURCES),
    PolicyStatement(
        sid="OpenOurGroups",
        actions=("ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"),
        condition=OWN_RESOURCES,
    ),
    PolicyStatement(
        sid="TagNewFileSystems",
        actions=("efs:TagResource",),
        condition={"StringEquals": {"elasticfilesystem:CreateAction": "CreateFileSystem"}},
    ),
    # EFS makes the network interface of a mount target with the caller's permission, which is
    # granted only for calls through a service.
    PolicyStatement(
        sid="ConnectFileSystems",
        actions=(
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
        ),
        condition=BY_A_SERVICE,
    ),
    # Machines that EC2 has relaunched for one of our spot requests, or that have lost their tags.
    PolicyStatement(
        sid="ManageMachinesWithoutTags",
        actions=("ec2:CreateTags", "ec2:TerminateInstances"),
        resources=_ec2("instance"),
        condition=WITH_OUR_PROFILE,
    ),
    PolicyStatement(
        sid="CheckOneself",
        actions=("iam:SimulatePrincipalPolicy",),
        resources=(f"{ROLE}user/${{{{aws:username}}}}", f"{ROLE}user/*/${{{{aws:username}}}}"),
    ),
    PolicyStatement(
        sid="LookAtTheRoleOfMachines",
        actions=("iam:GetInstanceProfile", "iam:GetRolePolicy"),
        resources=(THE_ROLE, THE_PROFILE),
    ),
    PolicyStatement(
        sid="GiveMachinesTheirRole",
        actions=("iam:PassRole",),
        resources=(THE_ROLE,),
        condition=TO_EC2,
    ),
    # Needed once per account: for its first spot machine and its first file system.
    PolicyStatement(
        sid="LetServicesBegin",
        actions=("iam:CreateServiceLinkedRole",),
        condition={
            "StringEquals": {
                "iam:AWSServiceName": ("spot.amazonaws.com", "elasticfilesystem.amazonaws.com")
            }
        },
    ),
    PolicyStatement(
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
    }
)
"""Actions that Prism never calls itself, but that AWS requires for others that Prism calls."""
FREE = frozenset({"sts:GetCallerIdentity"})
"""Actions that need no permission (STS API Reference, "GetCallerIdentity")."""
SETUP_RULES = (
    PolicyStatement(
        sid="MakeTheRoleOfMachines",
        actions=(*sorted(SETUP_ACTIONS), "iam:TagInstanceProfile", "iam:TagRole"),
        resources=(THE_ROLE, THE_PROFILE),
    ),
    PolicyStatement(
        sid="PutTheRoleIntoItsProfile",
        actions=("iam:PassRole",),
        resources=(THE_ROLE,),
        condition=TO_EC2,
    ),
)
"""For `prism aws setup` only: a login that may create and pass roles can get any permission."""


def rules(actions: Iterable[str] = ACTIONS) -> tuple[PolicyStatement, ...]:
    """The rules for these actions and those they imply; they allow nothing else."""
    needed = (frozenset(actions) | IMPLIED) - FREE
    matching = [
        replace(policy_statement, actions=chosen)
        for policy_statement in RULES
        if (chosen := tuple(action for action in policy_statement.actions if action in needed))
    ]
    covered = {action for policy_statement in RULES for action in policy_statement.actions}
    read_actions = sorted(action for action in needed - covered if reads(action.partition(":")[2]))
    rest = sorted(needed - covered - set(read_actions))
    first = [PolicyStatement(sid="Look", actions=tuple(read_actions))] if read_actions else []
    last = [PolicyStatement(sid="Rest", actions=tuple(rest))] if rest else []
    return (*first, *matching, *last)


def policy(
    partition: str = "aws", account: str = "*", limits: PolicyLimits | None = None
) -> dict[str, Any]:
    """The daily policy, as IAM takes it."""
    limited = (_limited(statement, limits or PolicyLimits()) for statement in rules())
    statements = (statement for statement in limited if statement is not None)
    document = _document(statements, partition, account)
    if limits is not None and limits.regions:  # one denial is shorter than many conditions
        elsewhere = {"StringNotEquals": {"aws:RequestedRegion": [*limits.regions]}}
        denial = {"Sid": "NothingElsewhere", "Effect": "Deny", "Action": [*MAKING]}
        document["Statement"].append({**denial, "Resource": "*", "Condition": elsewhere})
    if len("".join(json.dumps(document).split())) > MAX_POLICY_CHARACTERS:
        for printed in document["Statement"]:  # a statement needs no name
            del printed["Sid"]
    return document


def _limited(statement: PolicyStatement, limits: PolicyLimits) -> PolicyStatement | None:
    """The statement with these limits; None if they leave nothing of it."""
    sid, conditions = statement.sid, [statement.condition or {}]
    if limits.role is not None and sid == "CheckOneself":
        return replace(statement, resources=role_arns(limits.role))
    if limits.own_machines is not None:
        if sid == "ManageMachinesWithoutTags":  # of anybody
            return None
        if sid in OWNED:
            kind = "RequestTag" if statement.condition == NEW else "ResourceTag"
            owner = OWN[limits.own_machines]
            conditions.append({"StringEquals": {f"aws:{kind}/{USER}": owner}})
    if limits.types and sid in {"LaunchMachines", "StartOurs"}:
        conditions.append({"StringLike": {"ec2:InstanceType": tuple(map(_literal, limits.types))}})
    resources, vpcs = (
        statement.resources,
        tuple(f"{SHARED}vpc/{_literal(id)}" for id in limits.vpcs),
    )
    if vpcs and sid == "MakeGroupsInAnyVpc":
        resources = vpcs
    if vpcs and sid == "LaunchInSubnets":
        conditions.append({"ArnLike": {"ec2:Vpc": vpcs}})
    return replace(statement, resources=resources, condition=_merged(conditions) or None)


def role_arns(name: str) -> tuple[str, ...]:
    """The ARNs that a role of this name can have, whatever its path is.

    Names of roles are unique in an account (IAM User Guide, "IAM identifiers"). Identity Center
    adds a suffix of 16 characters to the name of a role (IAM Identity Center User Guide,
    "Referencing permission sets in resource policies"), which is not known before it is made.
    """
    if name.startswith(SSO_ROLE) and not SSO_SUFFIX.search(name):
        name += "_" + "?" * 16
    return tuple(f"{ROLE}role/{path}{_literal(name)}" for path in ("", "*/"))


def _literal(text: str) -> str:
    """The text, so that `_fill_in` leaves it as it is."""
    return text.replace("{", "{{").replace("}", "}}")


def _merged(conditions: Iterable[Condition]) -> Condition:
    """One condition that is fulfilled if all of these are."""
    merged: dict[str, dict[str, str | tuple[str, ...]]] = {}
    for condition in conditions:
        for operator, keys in condition.items():
            merged[operator] = {**merged.get(operator, {}), **keys}
    return merged


def setup_policy(partition: str = "aws", account: str = "*") -> dict[str, Any]:
    """The policy that an administrator needs for `prism aws setup`, as IAM takes it."""
    return _document(SETUP_RULES, partition, account)


def _document(rules: Iterable[PolicyStatement], partition: str, account: str) -> dict[str, Any]:
    canonical = CANONICAL.get(partition, CANONICAL["aws"])
    fields = {"partition": partition, "account": account, "canonical": canonical}
    return {
        "Version": VERSION,
        "Statement": [_statement(policy_statement, fields) for policy_statement in rules],
    }


def named(action: str) -> str:
    """An action as a policy names it."""
    service, _, name = action.partition(":")
    return f"{PREFIXES.get(service, service)}:{name}"


def _statement(rule: PolicyStatement, fields: Mapping[str, str]) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": rule.sid,
        "Effect": "Allow",
        "Action": _unwrap_single([named(action) for action in rule.actions]),
        "Resource": _unwrap_single([resource.format_map(fields) for resource in rule.resources]),
    }
    if rule.condition:
        statement["Condition"] = {
            test: {key: _unwrap_single(_fill_in(value, fields)) for key, value in keys.items()}
            for test, keys in rule.condition.items()
        }
    return statement


def _fill_in(value: str | tuple[str, ...], fields: Mapping[str, str]) -> str | tuple[str, ...]:
    """The value with partition and account filled in, if it is an ARN."""
    if isinstance(value, str):
        return value.format_map(fields)
    return tuple(text.format_map(fields) for text in value)


def _unwrap_single(values: Iterable[str] | str) -> str | list[str]:
    """The only value, without its list, as people write policies; else the list."""
    if isinstance(values, str):
        return values
    as_list = [*values]
    return as_list[0] if len(as_list) == 1 else as_list
