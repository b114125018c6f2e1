"""What a machine itself may do at AWS: stop itself, so that it can sleep when it is idle."""

import json
from contextlib import suppress
from typing import Any

from prism.providers.aws.cloud import Cloud
from prism.providers.aws.faults import AwsDenied, Missing
from prism.providers.aws.ground.tagging import accepting, tags

NAME = "prism-machine-1"
POLICY = "stop-itself-2"  # other words are another name: roles that are there get them too
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
# Both keys, and this way to compare them, are AWS's own words: EC2 User Guide, "Identity-based
# policies for Amazon EC2", and the managed policy AWSEC2VssSnapshotPolicy. `aws:ARN`, which
# `stop-itself` compared, is documented nowhere.
RIGHTS = {
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
    """The name of the instance profile, found or made; none where IAM does not let us.

    Without it a machine cannot hibernate itself: it powers off when it is idle or has
    expired, and only the daemon can send it to sleep.
    """
    try:
        if not _there(cloud):
            _make(cloud)
            return NAME
    except AwsDenied:
        return None
    with suppress(AwsDenied, Missing):  # it is somebody's own then, or stays as it was
        if not _as_now(cloud):
            _allow(cloud)
    return NAME


def _there(cloud: Cloud) -> bool:
    try:
        found = cloud.call("iam", "GetInstanceProfile", InstanceProfileName=NAME)
    except Missing:
        return False
    return bool(found["InstanceProfile"]["Roles"])


def _as_now(cloud: Cloud) -> bool:
    """Whether the role was given these rights, and not those of a former Prism."""
    try:
        cloud.call("iam", "GetRolePolicy", RoleName=NAME, PolicyName=POLICY)
    except Missing:
        return False
    except AwsDenied:  # who may not look may yet write
        return False
    return True


def _allow(cloud: Cloud) -> None:
    rights = json.dumps(RIGHTS)
    _once(cloud, "PutRolePolicy", RoleName=NAME, PolicyName=POLICY, PolicyDocument=rights)


def _make(cloud: Cloud) -> None:
    """Each step may have been taken before; the one that makes it count comes last."""
    _once(
        cloud,
        "CreateRole",
        RoleName=NAME,
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Description="Lets a machine that Prism made stop itself",
        Tags=tags(NAME),
    )
    _allow(cloud)
    _once(cloud, "CreateInstanceProfile", InstanceProfileName=NAME, Tags=tags(NAME))
    _once(cloud, "AddRoleToInstanceProfile", InstanceProfileName=NAME, RoleName=NAME)


def _once(cloud: Cloud, action: str, **arguments: Any) -> None:
    with accepting("EntityAlreadyExists", "LimitExceeded"):
        cloud.call("iam", action, **arguments)
