"""What a machine may do at AWS: stop itself, and nothing else."""

import json
from concurrent.futures import ThreadPoolExecutor

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


def test_it_may_stop_itself_only(ground, iam):
    assert ground.role() == NAME
    assert whole(iam)
    [statement] = rights(iam)["Statement"]
    assert statement["Condition"]["StringEquals"]["aws:ARN"] == "${ec2:SourceInstanceARN}"


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


@pytest.mark.parametrize("action", ["iam:*", "iam:CreateRole", "iam:AddRoleToInstanceProfile"])
def test_where_iam_says_no_machines_have_none(aws, ground, counted, action):
    aws.rules = build({"denied": [action]})
    assert ground.role() is None
    asked = counted("GetInstanceProfile")
    assert ground.role() is None
    assert counted("GetInstanceProfile") == asked, "it is not asked at each launch"
