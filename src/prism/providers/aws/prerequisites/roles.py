"""The role of machines, which may only stop themselves, to hibernate when they are idle."""

from typing import Any

from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import AwsDenied, Missing

NAME = "prism-machine-1"
DESCRIPTION = "Lets a machine that Prism made stop itself"
POLICY = "stop-itself-2"  # a changed policy needs a new name, so that existing roles get it too
LOST = "machines power off when they are idle or have expired, and cannot hibernate by themselves"
WITHOUT = (
    "its machine has no role, so it powers off when it is idle or has expired, and cannot "
    "hibernate by itself; `prism aws setup` makes the role, `prism aws policy` prints the "
    "right to give it"
)
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
# AWS compares these two keys in this way in EC2 User Guide, "Identity-based policies for Amazon
# EC2", and in its managed policy AWSEC2VssSnapshotPolicy. No document has `aws:ARN`, which the
# earlier policy `stop-itself` compared.
RIGHTS: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "StopItself",
            "Effect": "Allow",
            "Action": "ec2:StopInstances",
            "Resource": "*",
            "Condition": {
                "ArnLike": {"ec2:SourceInstanceARN": "arn:*:ec2:*:*:instance/${ec2:InstanceID}"},
                "StringEquals": {"aws:ResourceTag/prism:managed": "true"},
            },
        }
    ],
}


def role(cloud: Cloud) -> str | None:
    """The name of the instance profile that `prism aws setup` has made; None if there is none.

    Without it a machine cannot hibernate itself: it powers off when it is idle or has expired, and
    only the daemon can hibernate it. It creates nothing: a login that may create and pass roles
    can become an administrator, which the daemon's login must not.
    """
    try:
        return NAME if has_role(cloud) else None
    except AwsDenied:
        return None


def has_role(cloud: Cloud) -> bool:
    """Whether the instance profile exists, with the role in it."""
    try:
        answer = cloud.call("iam", "GetInstanceProfile", InstanceProfileName=NAME)
    except Missing:
        return False
    return [role["RoleName"] for role in answer["InstanceProfile"]["Roles"]] == [NAME]


def has_rights(cloud: Cloud) -> bool:
    """Whether the role has the policy of this version of Prism."""
    return exists(cloud, "GetRolePolicy", RoleName=NAME, PolicyName=POLICY)


def exists(cloud: Cloud, operation: str, **name: str) -> bool:
    """Whether IAM knows what this operation reads."""
    try:
        cloud.call("iam", operation, **name)
    except Missing:
        return False
    return True


def lacking(cloud: Cloud) -> str | None:
    """What machines cannot do because their role is missing or old; None if it is complete."""
    try:
        if not has_role(cloud):
            return f"there is no role for machines ({NAME}), so {LOST}; make it: `prism aws setup`"
        if not has_rights(cloud):
            return (
                f"the role {NAME} lacks the rights of this version; update it: `prism aws setup`"
            )
    except AwsDenied as error:
        return f"it is unknown whether machines have their role: {error.message}"
    return None
