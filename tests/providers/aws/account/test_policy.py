"""The least policy: everything that is called, nothing else, and only on what is ours."""

import json

import pytest

from aws_double.rulebook import build
from prism.providers.aws.account import permissions as module
from prism.providers.aws.account.identity import AwsIdentity
from prism.providers.aws.account.permissions import permissions, principal
from prism.providers.aws.account.policy import (
    BY_A_SERVICE,
    FREE,
    IMPLIED,
    NEW,
    OURS,
    RULES,
    THE_ROLE,
    WITH_OUR_PROFILE,
    named,
    policy,
    rules,
)
from prism.providers.aws.api.actions import ACTIONS, PREFIXES
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import AwsUnavailable

ADA = AwsIdentity(account="123456789012", arn="arn:aws:iam::123456789012:user/ada")
MOST = 6144  # characters of a managed policy, blanks not counted


@pytest.fixture
def cloud(aws):
    return Cloud("us-west-2", sleep=lambda _: None)


def granted():
    return {action for rule in rules() for action in rule.actions}


def test_what_is_called_is_granted_and_nothing_else():
    assert granted() == (ACTIONS | IMPLIED) - FREE
    assert IMPLIED.isdisjoint(ACTIONS), "what is called is in ACTIONS alone"


def test_what_changes_something_is_never_granted_on_anything_at_all():
    free = {
        action
        for rule in rules()
        if rule.resources == ("*",) and rule.condition is None
        for action in rule.actions
        if not action.partition(":")[2].startswith(("Describe", "Get", "Simulate"))
    }
    assert free == set()


def test_network_interfaces_are_for_what_is_tagged_or_for_efs():
    conditions = {
        (rule.sid, action): rule.condition
        for rule in rules()
        for action in rule.actions
        if "NetworkInterface" in action
        or (action == "ec2:RunInstances" and any("network-interface" in r for r in rule.resources))
    }
    assert set(map(json.dumps, conditions.values())) == {json.dumps(NEW), json.dumps(BY_A_SERVICE)}


def test_the_role_of_machines_may_be_looked_at_and_passed_and_nothing_else():
    """Whoever may make a role and pass it can become an administrator."""
    statements = {
        action: rule
        for rule in rules()
        for action in rule.actions
        if action.startswith("iam:") and rule.resources != ("*",)
    }
    assert set(statements) == {"iam:GetInstanceProfile", "iam:GetRolePolicy", "iam:PassRole"}
    assert statements["iam:PassRole"].resources == (THE_ROLE,)
    assert all("*" not in arn for statement in statements.values() for arn in statement.resources)


def test_a_shared_subnet_is_another_accounts():
    """EC2 User Guide, "Share your VPC subnets": its ARN has the account that shares it."""
    [launch] = [rule for rule in rules() if rule.sid == "LaunchInSubnets"]
    assert launch.resources == ("arn:{partition}:ec2:*:*:subnet/*",)


@pytest.mark.parametrize(
    ("action", "condition"),
    [("ec2:DeleteVolume", OURS), ("efs:DeleteFileSystem", OURS),
     ("ec2:StopInstances", OURS), ("efs:CreateFileSystem", NEW), ("ec2:ImportKeyPair", NEW)],
)  # fmt: skip
def test_only_what_is_ours_may_be_destroyed_and_only_what_is_tagged_made(action, condition):
    assert {json.dumps(rule.condition) for rule in rules() if action in rule.actions} == {
        json.dumps(condition)
    }


def test_a_machine_is_destroyed_that_is_ours_or_has_our_profile():
    conditions = {
        json.dumps(rule.condition) for rule in rules() if "ec2:TerminateInstances" in rule.actions
    }
    assert conditions == {json.dumps(OURS), json.dumps(WITH_OUR_PROFILE)}


def test_an_action_that_no_rule_knows_is_granted_all_the_same():
    [look, *_, rest] = rules({"s3:GetObject", "s3:PutObject"})
    assert (look.sid, look.actions) == ("Look", ("s3:GetObject",))
    assert (rest.sid, rest.actions) == ("Rest", ("s3:PutObject",))
    assert "Rest" not in {rule.sid for rule in rules()}, "write a rule for it"


def test_the_policy_is_one_that_iam_takes():
    document = policy("aws-cn", "123456789012")
    assert document["Version"] == "2012-10-17"
    text = json.dumps(document)
    assert len("".join(text.split())) <= MOST
    assert "{" not in "".join(
        json.dumps(statement["Resource"]) for statement in document["Statement"]
    )
    assert '"arn:aws-cn:ec2:*:123456789012:instance/*"' in text
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(sids) == len(set(sids)) and all(sid.isalnum() for sid in sids)
    assert all(statement["Effect"] == "Allow" for statement in document["Statement"])
    assert "elasticfilesystem:CreateFileSystem" in text and '"efs:' not in text


def test_actions_have_the_names_of_iam(aws):
    assert named("efs:CreateFileSystem") == "elasticfilesystem:CreateFileSystem"
    assert set(PREFIXES) <= {action.partition(":")[0] for action in ACTIONS}


def test_all_is_there(cloud, aws):
    assert permissions(cloud, ADA) == module.Permissions(how="simulated")
    assert {call.action for call in aws.calls} == {"SimulatePrincipalPolicy"}


def test_iam_says_what_is_missing(cloud, aws):
    aws.rules = build({"denied": ["ec2:TerminateInstances", "elasticfilesystem:*"]})
    answer = permissions(cloud, ADA)
    assert (answer.how, answer.unknown) == ("simulated", ())
    assert answer.missing[0] == "ec2:TerminateInstances"
    assert "elasticfilesystem:CreateFileSystem" in answer.missing


def test_iam_is_asked_about_things_like_ours_in_a_world_where_the_conditions_hold():
    requests = []

    class Asked(Cloud):
        def __init__(self):
            self.region = "us-west-2"

        def pages(self, *_, **arguments):
            requests.append(arguments)
            return ()

    permissions(Asked(), ADA)
    launch = requests[[rule.sid for rule in rules()].index("LaunchWhatIsTagged")]
    assert launch["ResourceArns"][0] == (
        "arn:aws:ec2:us-west-2:123456789012:instance/0123456789abcdef0"
    )
    assert launch["ContextEntries"] == [
        {"ContextKeyName": "aws:RequestTag/prism:managed", "ContextKeyValues": ["true"],
         "ContextKeyType": "string"}
    ]  # fmt: skip


def test_who_may_not_ask_iam_is_told_by_dry_runs(cloud, aws):
    aws.rules = build({"denied": ["iam:*", "ec2:DescribeSubnets", "ec2:CreateVolume"]})
    answer = permissions(cloud, ADA)
    assert (answer.how, answer.missing) == ("tried", ("ec2:CreateVolume", "ec2:DescribeSubnets"))
    assert "ec2:TerminateInstances" in answer.unknown
    assert aws.machines() == [] and not cloud.call("ec2", "DescribeVolumes")["Volumes"]


def test_an_aws_that_is_away_is_not_a_missing_permission(cloud, aws):
    aws.fault(action="SimulatePrincipalPolicy", do="error", status=503, times=None)
    with pytest.raises(AwsUnavailable):
        permissions(cloud, ADA)


def test_the_root_user_may_everything(cloud, aws):
    root = AwsIdentity(account=ADA.account, arn="arn:aws:iam::123456789012:root")
    assert permissions(cloud, root).missing == ()
    assert aws.calls == []


@pytest.mark.parametrize(
    ("session", "role"),
    [
        ("assumed-role/lab/me", "role/lab"),
        (
            "assumed-role/AWSReservedSSO_Lab_0123456789abcdef/me@example.org",
            "role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Lab_0123456789abcdef",
        ),
    ],
)
def test_a_session_is_asked_about_by_its_role(session, role):
    identity = AwsIdentity(account=ADA.account, arn=f"arn:aws:sts::123456789012:{session}")
    assert principal(identity) == f"arn:aws:iam::123456789012:{role}"
    assert principal(ADA) == ADA.arn


def test_every_rule_is_of_use():
    for rule in RULES:
        assert set(rule.actions) <= ACTIONS | IMPLIED, rule.sid
