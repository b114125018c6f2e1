"""What a machine itself may do at AWS: stop itself, so that it can sleep when it is idle."""

import json
from typing import Any

from prism.providers.aws.cloud import Cloud
from prism.providers.aws.faults import AwsDenied, Missing
from prism.providers.aws.ground.tagging import accepting, tags

NAME = "prism-machine-1"  # other rights are another name: what is there is not changed
POLICY = "stop-itself"
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
RIGHTS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "StopItself",
            "Effect": "Allow",
            "Action": "ec2:StopInstances",
            "Resource": "*",
            "Condition": {
                "StringEquals": {
                    "aws:ARN": "${ec2:SourceInstanceARN}",
                    "aws:ResourceTag/prism:managed": "true",
                }
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
    except AwsDenied:
        return None
    return NAME


def _there(cloud: Cloud) -> bool:
    try:
        found = cloud.call("iam", "GetInstanceProfile", InstanceProfileName=NAME)
    except Missing:
        return False
    return bool(found["InstanceProfile"]["Roles"])


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
    rights = json.dumps(RIGHTS)
    _once(cloud, "PutRolePolicy", RoleName=NAME, PolicyName=POLICY, PolicyDocument=rights)
    _once(cloud, "CreateInstanceProfile", InstanceProfileName=NAME, Tags=tags(NAME))
    _once(cloud, "AddRoleToInstanceProfile", InstanceProfileName=NAME, RoleName=NAME)


def _once(cloud: Cloud, action: str, **arguments: Any) -> None:
    with accepting("EntityAlreadyExists", "LimitExceeded"):
        cloud.call("iam", action, **arguments)
