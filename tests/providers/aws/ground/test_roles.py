"""What a machine may do at AWS: stop itself, and nothing else."""

import json
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase

import boto3
import pytest

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.ground.roles import NAME, POLICY


@pytest.fixture
def iam(aws):
    return boto3.client("iam")


def rights(iam):
    policy = iam.get_role_policy(RoleName=NAME, PolicyName=POLICY)["PolicyDocument"]
    return policy if isinstance(policy, dict) else json.loads(policy)


def whole(iam):
    profile = iam.get_instance_profile(InstanceProfileName=NAME)["InstanceProfile"]
    [role] = profile["Roles"]
    [statement] = rights(iam)["Statement"]
    return role["RoleName"] == NAME and statement["Action"] == "ec2:StopInstances"


def granted(iam, source, target, managed="true"):
    """IAM's verdict, by keys that are documented only.

    EC2 User Guide, "Identity-based policies for Amazon EC2": `ec2:SourceInstanceARN` is the
    instance from which a request is made, `ec2:InstanceID` the one that it is about. IAM User
    Guide, "IAM JSON policy elements: Condition operators": ArnLike compares each of the six
    parts of an ARN by itself, and a key that is not there does not match.
    """
    [statement] = rights(iam)["Statement"]
    context = {"ec2:SourceInstanceARN": source, "aws:ResourceTag/prism:managed": managed}
    condition = dict(statement["Condition"])
    like, equal = condition.pop("ArnLike"), condition.pop("StringEquals")
    assert not condition
    for key, pattern in like.items():
        wanted = pattern.replace("${ec2:InstanceID}", target).split(":", 5)
        said = (context[key] or "").split(":", 5)
        if len(said) != 6 or not all(map(fnmatchcase, said, wanted)):
            return False
    return all(context[key] == value for key, value in equal.items())


def test_it_may_stop_itself_only(ground, iam):
    assert ground.role() == NAME
    assert whole(iam)
    mine = "arn:aws-cn:ec2:cn-north-1:123456789012:instance/i-0123"
    assert granted(iam, source=mine, target="i-0123")
    assert not granted(iam, source=mine, target="i-01234")
    assert not granted(iam, source=mine, target="i-0123", managed="false")
    assert not granted(iam, source=None, target="i-0123"), "nobody but a machine has such a source"


def test_it_is_made_once(make_ground, counted):
    assert make_ground().role() == make_ground().role() == NAME
    assert counted("CreateRole") == counted("CreateInstanceProfile") == 1


@pytest.mark.parametrize("do", ["lost", "twice", "throttle", "drop"])
@pytest.mark.parametrize(
    "action",
    ["CreateRole", "PutRolePolicy", "CreateInstanceProfile", "AddRoleToInstanceProfile"],
)
def test_whatever_becomes_of_a_step_it_is_whole_in_the_end(aws, ground, iam, action, do):
    aws.fault(action=action, do=do)
    try:
        ground.role()
    except Unavailable:
        assert ground.role() == NAME
    assert whole(iam)


def test_two_at_once_make_one(make_ground, iam):
    grounds = [make_ground() for _ in range(6)]
    with ThreadPoolExecutor(6) as many:
        assert set(many.map(lambda it: it.role(), grounds)) == {NAME}
    assert whole(iam)


def test_a_role_of_a_former_prism_is_given_the_rights_of_now(make_ground, aws, iam, counted):
    make_ground().role()
    iam.delete_role_policy(RoleName=NAME, PolicyName=POLICY)
    iam.put_role_policy(RoleName=NAME, PolicyName="stop-itself", PolicyDocument="{}")
    assert make_ground().role() == NAME
    assert whole(iam)
    written = counted("PutRolePolicy")
    assert make_ground().role() == NAME
    assert counted("PutRolePolicy") == written, "it is written once"


@pytest.mark.parametrize("action", ["iam:GetRolePolicy", "iam:PutRolePolicy", "iam:*RolePolicy"])
def test_who_may_not_change_it_takes_it_as_it_is(make_ground, aws, iam, action):
    make_ground().role()
    iam.delete_role_policy(RoleName=NAME, PolicyName=POLICY)
    aws.rules = build({"denied": [action]})
    assert make_ground().role() == NAME


@pytest.mark.parametrize("action", ["iam:*", "iam:CreateRole", "iam:AddRoleToInstanceProfile"])
def test_where_iam_says_no_machines_have_none(aws, ground, counted, action):
    aws.rules = build({"denied": [action]})
    assert ground.role() is None
    asked = counted("GetInstanceProfile")
    assert ground.role() is None
    assert counted("GetInstanceProfile") == asked, "it is not asked at each launch"
