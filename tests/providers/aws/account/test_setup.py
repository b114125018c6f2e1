"""The setup of an AWS account by an administrator: previewed, applied, repeated, exported."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
import yaml

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.account.policy import SETUP_RULES, named, setup_policy
from prism.providers.aws.account.setup import (
    PARTS,
    NotVisible,
    SetupRefused,
    apply,
    cloudformation,
    look,
    terraform,
)
from prism.providers.aws.api.faults import AwsDenied, QuotaExceeded
from prism.providers.aws.prerequisites.roles import NAME, POLICY, RIGHTS, TRUST, has_role
from tests.aws_setup import PROPAGATED, administrator


@pytest.fixture
def aws(stopped_aws):
    return stopped_aws


@pytest.fixture
def cloud(aws):
    return administrator(aws)


@pytest.fixture
def iam(aws):
    return boto3.client("iam")


def made(iam):
    """The parts of the setup, as IAM shows them."""
    role = iam.get_role(RoleName=NAME)["Role"]
    rights = iam.get_role_policy(RoleName=NAME, PolicyName=POLICY)["PolicyDocument"]
    profile = iam.get_instance_profile(InstanceProfileName=NAME)["InstanceProfile"]
    return (
        role["AssumeRolePolicyDocument"],
        rights,
        [role["RoleName"] for role in profile["Roles"]],
    )


def is_complete(iam):
    return made(iam) == (TRUST, RIGHTS, [NAME])


def changing(aws):
    return [call.action for call in aws.calls if not call.action.startswith("Get")]


def test_look_lists_missing_parts_without_a_change(aws, cloud):
    steps = look(cloud)
    assert [step.done for step in steps] == [False] * len(PARTS)
    assert NAME in steps[0].what
    assert changing(aws) == []


def test_apply_creates_the_role_its_policy_and_the_instance_profile(cloud, iam):
    assert all(step.done for step in apply(cloud))
    assert is_complete(iam)
    assert all(step.done for step in look(cloud))


def test_second_apply_makes_no_change(aws, cloud):
    apply(cloud)
    before = changing(aws)
    apply(cloud)
    assert changing(aws) == before


@pytest.mark.parametrize("do", ["lost", "twice", "throttle", "drop"])
@pytest.mark.parametrize(
    "action",
    ["CreateRole", "PutRolePolicy", "CreateInstanceProfile", "AddRoleToInstanceProfile"],
)
def test_setup_is_complete_after_a_fault_of_any_call(aws, cloud, iam, action, do):
    aws.fault(action=action, do=do)
    try:
        apply(cloud)
    except Unavailable:
        apply(cloud)
    assert is_complete(iam)


def test_concurrent_setups_make_one_complete_setup(cloud, iam):
    with ThreadPoolExecutor(4) as many:
        list(many.map(lambda _: apply(cloud), range(4)))
    assert is_complete(iam)


def test_role_of_an_older_version_gets_the_present_policy(cloud, iam):
    apply(cloud)
    iam.delete_role_policy(RoleName=NAME, PolicyName=POLICY)
    iam.put_role_policy(RoleName=NAME, PolicyName="stop-itself-1", PolicyDocument="{}")
    cloud.wait(PROPAGATED)
    assert [step.done for step in look(cloud)].count(False) == 1
    apply(cloud)
    assert is_complete(iam)


def test_setup_refuses_a_role_that_prism_did_not_create(aws, cloud, iam):
    iam.create_role(RoleName=NAME, AssumeRolePolicyDocument="{}")
    aws.clock.advance(PROPAGATED)
    for step in (look, apply):
        with pytest.raises(SetupRefused, match="did not make"):
            step(cloud)
    assert changing(aws) == ["CreateRole"], "only the call of the test"


def test_setup_refuses_a_foreign_role_that_iam_does_not_show_yet(aws, cloud, iam):
    aws.rules = build({"times": {"iam": 3}})
    iam.create_role(RoleName=NAME, AssumeRolePolicyDocument="{}")
    with pytest.raises(SetupRefused, match="did not make"):
        apply(cloud)
    assert changing(aws) == ["CreateRole", "CreateRole"], "no role was made or changed"


def test_setup_waits_for_delayed_iam_changes_up_to_a_limit(aws, cloud, iam):
    aws.rules = build({"times": {"iam": 10}})
    assert all(step.done for step in apply(cloud))
    aws.clock.advance(10)
    assert is_complete(iam)
    iam.delete_role_policy(RoleName=NAME, PolicyName=POLICY)
    aws.rules = build({"times": {"iam": 3600}})
    with pytest.raises(NotVisible, match="does not show this yet"):
        apply(cloud)


def test_setup_fails_if_the_role_quota_is_exceeded(aws, cloud):
    """IAM API reference, CreateRole: LimitExceeded says that the account has too many."""
    aws.fault(action="CreateRole", do="error", code="LimitExceeded", status=409, times=None)
    with pytest.raises(QuotaExceeded):
        apply(cloud)
    assert changing(aws) == ["CreateRole"]


def test_setup_fails_if_the_instance_profile_has_another_role(cloud, iam):
    """IAM API reference, AddRoleToInstanceProfile: LimitExceeded; a profile takes one role."""
    iam.create_role(RoleName="admin", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName=NAME)
    cloud.wait(PROPAGATED)
    iam.add_role_to_instance_profile(InstanceProfileName=NAME, RoleName="admin")
    with pytest.raises(QuotaExceeded):
        apply(cloud)
    assert not has_role(cloud)


def test_denied_setup_names_the_permission(aws, cloud):
    aws.rules = build({"denied": ["iam:CreateRole"]})
    with pytest.raises(AwsDenied, match="iam:CreateRole"):
        apply(cloud)


def test_setup_policy_grants_exactly_what_the_setup_uses(aws, cloud, iam):
    aws._dispatcher.callers.clear()
    caller = aws.bind(setup_policy(account="123456789012"), "prism-setup")
    look(cloud)
    apply(cloud)
    assert is_complete(iam)
    assert caller.denied == []
    granted = {named(action) for rule in SETUP_RULES for action in rule.actions}
    assert {action for _, action in caller.used} == granted


def test_cloudformation_declares_the_same_role_and_profile():
    template = yaml.safe_load(cloudformation())
    role, profile = template["Resources"].values()
    properties = role["Properties"]
    assert (role["Type"], profile["Type"]) == ("AWS::IAM::Role", "AWS::IAM::InstanceProfile")
    assert (properties["RoleName"], properties["AssumeRolePolicyDocument"]) == (NAME, TRUST)
    assert properties["Policies"] == [{"PolicyName": POLICY, "PolicyDocument": RIGHTS}]
    assert {"Key": "prism:managed", "Value": "true"} in properties["Tags"]
    assert profile["Properties"] == {
        "InstanceProfileName": NAME,
        "Roles": [{"Ref": "MachineRole"}],
    }
    assert "*id" not in cloudformation(), "CloudFormation knows no YAML aliases"


def test_terraform_declares_the_same_role_and_escapes_iam_variables():
    text = terraform()
    documents = [
        json.loads(match.replace("$${", "${"))
        for match in re.findall(r"<<-JSON\n(.*?)\n  JSON", text, re.S)
    ]
    assert documents == [TRUST, RIGHTS]
    assert not re.search(r"(?<!\$)\$\{", text)
    assert f'name = "{NAME}"' in text and f'name   = "{POLICY}"' in text
    assert '"prism:managed" = "true"' in text
