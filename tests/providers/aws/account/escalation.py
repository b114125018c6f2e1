"""Known ways in which the holder of a policy gets more rights, and a lint that finds them.

The ways are those that Rhino Security Labs collected ("AWS IAM Privilege Escalation – Methods
and Mitigation") and those of the IAM User Guide on passing roles. Each is a set of actions. A
user with all actions of a set, on more than one fixed role without rights, can get others.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

CHANGES_RIGHTS = (  # each alone is enough, on any identity that has, or can be given, more rights
    "iam:AddUserToGroup",
    "iam:AttachGroupPolicy",
    "iam:AttachRolePolicy",
    "iam:AttachUserPolicy",
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:CreatePolicyVersion",
    "iam:CreateServiceSpecificCredential",
    "iam:DeactivateMFADevice",
    "iam:DeleteRolePermissionsBoundary",
    "iam:DeleteRolePolicy",
    "iam:DeleteUserPermissionsBoundary",
    "iam:PutGroupPolicy",
    "iam:PutRolePolicy",
    "iam:PutUserPolicy",
    "iam:ResyncMFADevice",
    "iam:SetDefaultPolicyVersion",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateLoginProfile",
    "iam:UpdateSAMLProvider",
    "lambda:AddPermission",
    "lambda:UpdateFunctionCode",
    "lambda:UpdateFunctionConfiguration",
    "secretsmanager:GetSecretValue",
    "ssm:SendCommand",
    "ssm:StartSession",
    "sts:AssumeRole",
    "ec2-instance-connect:SendSSHPublicKey",
)
TOGETHER = (  # all actions of a line are enough
    ("iam:CreateRole", "iam:AttachRolePolicy"),
    ("iam:CreateRole", "iam:PutRolePolicy"),
    ("iam:CreateRole", "iam:PassRole"),
    ("iam:AddRoleToInstanceProfile", "iam:PassRole"),
    ("ec2:AssociateIamInstanceProfile", "iam:PassRole"),
    ("ec2:ReplaceIamInstanceProfileAssociation", "iam:PassRole"),
    ("cloudformation:CreateStack", "iam:PassRole"),
    ("lambda:CreateFunction", "iam:PassRole"),
    ("glue:CreateDevEndpoint", "iam:PassRole"),
    ("datapipeline:CreatePipeline", "iam:PassRole"),
    ("sagemaker:CreateNotebookInstance", "iam:PassRole"),
    ("ecs:RunTask", "iam:PassRole"),
    ("codebuild:CreateProject", "iam:PassRole"),
    ("autoscaling:CreateLaunchConfiguration", "iam:PassRole"),
)
PASSES = "iam:PassRole"
OURS = "prism:managed"


def findings(policy: Mapping[str, Any], harmless_roles: Collection[str] = ()) -> Iterator[str]:
    """Describe every known way to more rights that a policy leaves open.

    `harmless_roles` are ends of ARNs of roles whose own rights were judged elsewhere.
    """
    statements = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    yield from (
        f"{statement['Sid']}: NotAction" for statement in statements if "NotAction" in statement
    )
    yield from (
        f"{statement['Sid']}: NotResource"
        for statement in statements
        if "NotResource" in statement
    )
    yield from (
        f"{statement['Sid']}: *"
        for statement in statements
        if "*" in several(statement.get("Action", ()))
    )
    may = lambda action: any(allows(statement, action) for statement in statements)  # noqa: E731
    yield from (action for action in CHANGES_RIGHTS if may(action))
    yield from (" and ".join(line) for line in TOGETHER if all(map(may, line)))
    for statement in statements:
        if allows(statement, PASSES):
            yield from passing(statement, harmless_roles)
        if allows(statement, "ec2:ModifyInstanceAttribute") and not only_ours(statement):
            yield "ec2:ModifyInstanceAttribute: user data of any machine, which may have any role"
        if allows(statement, "ec2:CreateTags") and not tags_only_ours(statement):
            yield "ec2:CreateTags: a tag that opens all other statements, on anything"
        yield from data_paths(statement)


READS_DATA = (  # each shows data, keys or secrets of what it is applied to
    "ebs:GetSnapshotBlock",
    "ebs:ListSnapshotBlocks",
    "ec2:CopyImage",
    "ec2:CopySnapshot",
    "ec2:CreateImage",
    "ec2:CreateStoreImageTask",
    "ec2:DescribeInstanceAttribute",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:ExportImage",
    "ec2:GetConsoleOutput",
    "ec2:GetPasswordData",
    "ec2:ModifyImageAttribute",
    "ec2:ModifySnapshotAttribute",
    "ec2:AttachVolume",
    "ec2:ReplaceRootVolume",
    "ec2:CreateReplaceRootVolumeTask",
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "ssm:GetParameters",
    "ssm:GetParametersByPath",
)
MADE_OF = {  # what an action makes, of which data: it may not name both kinds in one statement
    "ec2:CreateVolume": ("volume", "snapshot"),
    "ec2:CreateSnapshot": ("snapshot", "volume"),
}


def data_paths(statement: Mapping[str, Any]) -> Iterator[str]:
    """Describe every way to read data that is not Prism's."""
    resources = several(statement["Resource"])
    if only_ours(statement):
        return
    yield from (f"{action}: data of others" for action in READS_DATA if allows(statement, action))
    if allows(statement, "ssm:GetParameter"):
        parameters = [item for item in resources if "::parameter/aws/service/" not in item]
        yield from (f"ssm:GetParameter of {item}: secrets of others" for item in parameters)
    if allows(statement, "iam:SimulatePrincipalPolicy"):
        folders = [item for item in resources if item.endswith("*")]
        yield from (f"iam:SimulatePrincipalPolicy of {item}: rights of others" for item in folders)
    for action, (copy, source) in MADE_OF.items():
        if allows(statement, action):
            of = [item for item in resources if item == "*" or f":{source}/" in item]
            yield from (f"{action}: a {copy} of any {source}" for _ in of[:1])
    if allows(statement, "ec2:RunInstances"):
        owners = statement.get("Condition", {}).get("StringEquals", {}).get("ec2:Owner")
        everything = "*" in resources
        if everything or any(":snapshot/" in item for item in resources):
            yield "ec2:RunInstances: a disk of any snapshot"
        if everything or (any(":image/" in item for item in resources) and not owners):
            yield "ec2:RunInstances: any private image"


def passing(statement: Mapping[str, Any], harmless_roles: Collection[str]) -> Iterator[str]:
    for role in several(statement["Resource"]):
        if not any(role.endswith(f":role/{name}") for name in harmless_roles):
            yield f"iam:PassRole of {role}"
    to = statement.get("Condition", {}).get("StringEquals", {}).get("iam:PassedToService")
    if to != "ec2.amazonaws.com":
        yield f"iam:PassRole to {to or 'any service'}"


def allows(statement: Mapping[str, Any], action: str) -> bool:
    patterns = [text.lower() for text in several(statement.get("Action", ()))]
    return any(fnmatchcase(action.lower(), pattern) for pattern in patterns)


def only_ours(statement: Mapping[str, Any]) -> bool:
    equals = statement.get("Condition", {}).get("StringEquals", {})
    return bool(equals.get(f"aws:ResourceTag/{OURS}") == "true")


def tags_only_ours(statement: Mapping[str, Any]) -> bool:
    """Whether it only tags resources of Prism, new resources, or machines with its profile."""
    condition = statement.get("Condition", {})
    profile = condition.get("ArnLike", {}).get("ec2:InstanceProfile", "")
    while_created = "ec2:CreateAction" in condition.get("StringEquals", {})
    return (
        only_ours(statement)
        or while_created
        or profile.endswith(":instance-profile/prism-machine-1")
    )


def several(value: str | Iterable[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
