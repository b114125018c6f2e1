"""The daily policy grants exactly the calls that Prism makes, on its own resources."""

import json
import re

import boto3
import pytest

from aws_double.rulebook import build
from prism.providers.aws.account.identity import AwsIdentity
from prism.providers.aws.account.permissions import (
    Permissions,
    SimulatedCall,
    permissions,
    principals,
)
from prism.providers.aws.account.policy import (
    BY_A_SERVICE,
    FREE,
    IMPLIED,
    NEW,
    OWN_RESOURCES,
    RULES,
    THE_ROLE,
    WITH_OUR_PROFILE,
    PolicyLimits,
    named,
    policy,
    rules,
)
from prism.providers.aws.api.actions import ACTIONS, PREFIXES
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import AwsUnavailable
from tests.aws_policies import by_an_administrator

ADA = AwsIdentity(account="123456789012", arn="arn:aws:iam::123456789012:user/prism")
LAB, SSO = "AWSReservedSSO_Lab_0123456789abcdef", "aws-reserved/sso.amazonaws.com"
MOST = 6144  # characters of a managed policy, blanks not counted


@pytest.fixture
def cloud(aws):
    return Cloud("us-west-2", sleep=lambda _: None)


def granted():
    return {action for rule in rules() for action in rule.actions}


def test_policy_grants_exactly_the_called_actions():
    assert granted() == (ACTIONS | IMPLIED) - FREE
    assert IMPLIED.isdisjoint(ACTIONS), "an action that is called is only in ACTIONS"


def test_changing_actions_are_never_granted_on_all_resources():
    free = {
        action
        for rule in rules()
        if rule.resources == ("*",) and rule.condition is None
        for action in rule.actions
        if not action.partition(":")[2].startswith(("Describe", "Get", "Simulate"))
    }
    assert free == set()


def test_network_interface_actions_require_a_new_tag_or_a_service():
    conditions = {
        (rule.sid, action): rule.condition
        for rule in rules()
        for action in rule.actions
        if "NetworkInterface" in action
        or (action == "ec2:RunInstances" and any("network-interface" in r for r in rule.resources))
    }
    assert set(map(json.dumps, conditions.values())) == {json.dumps(NEW), json.dumps(BY_A_SERVICE)}


def test_policy_only_reads_and_passes_the_machine_role():
    """A user who may create a role and pass it can become an administrator."""
    statements = {
        action: rule
        for rule in rules()
        for action in rule.actions
        if action.startswith("iam:") and rule.resources != ("*",)
    }
    oneself = statements.pop("iam:SimulatePrincipalPolicy")
    assert all(arn.endswith("/${{aws:username}}") for arn in oneself.resources)
    assert set(statements) == {"iam:GetInstanceProfile", "iam:GetRolePolicy", "iam:PassRole"}
    assert statements["iam:PassRole"].resources == (THE_ROLE,)
    assert all("*" not in arn for statement in statements.values() for arn in statement.resources)


def test_policy_allows_launches_in_subnets_of_other_accounts():
    """EC2 User Guide, "Share your VPC subnets": its ARN has the account that shares it."""
    [launch] = [rule for rule in rules() if rule.sid == "LaunchInSubnets"]
    assert launch.resources == ("arn:{partition}:ec2:*:*:subnet/*",)


@pytest.mark.parametrize(
    ("action", "condition"),
    [("ec2:DeleteVolume", OWN_RESOURCES), ("efs:DeleteFileSystem", OWN_RESOURCES),
     ("ec2:StopInstances", OWN_RESOURCES), ("efs:CreateFileSystem", NEW),
     ("ec2:ImportKeyPair", NEW)],
)  # fmt: skip
def test_delete_and_create_actions_require_the_managed_tag(action, condition):
    assert {json.dumps(rule.condition) for rule in rules() if action in rule.actions} == {
        json.dumps(condition)
    }


def test_termination_requires_the_managed_tag_or_the_instance_profile():
    conditions = {
        json.dumps(rule.condition) for rule in rules() if "ec2:TerminateInstances" in rule.actions
    }
    assert conditions == {json.dumps(OWN_RESOURCES), json.dumps(WITH_OUR_PROFILE)}


def test_action_without_a_rule_is_granted_by_a_default_rule():
    [look, *_, rest] = rules({"s3:GetObject", "s3:PutObject"})
    assert (look.sid, look.actions) == ("Look", ("s3:GetObject",))
    assert (rest.sid, rest.actions) == ("Rest", ("s3:PutObject",))
    assert "Rest" not in {rule.sid for rule in rules()}, "write a rule for it"


def test_policy_document_is_valid_for_iam():
    document = policy("aws-cn", "123456789012")
    assert document["Version"] == "2012-10-17"
    text = json.dumps(document)
    assert len("".join(text.split())) <= MOST
    resources = "".join(json.dumps(statement["Resource"]) for statement in document["Statement"])
    assert set(re.findall(r"\{[^}]*\}", resources)) == {"{aws:username}"}
    assert '"arn:aws-cn:ec2:*:123456789012:instance/*"' in text
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(sids) == len(set(sids)) and all(sid.isalnum() for sid in sids)
    assert all(statement["Effect"] == "Allow" for statement in document["Statement"])
    assert "elasticfilesystem:CreateFileSystem" in text and '"efs:' not in text


@pytest.mark.parametrize("own", [None, "tag", "username"])
def test_policy_with_all_limits_is_short_enough_for_iam(own):
    limits = PolicyLimits(
        own_machines=own,
        types=("t3.*", "t4g.*", "c6i.large", "g4dn.xlarge"),
        regions=("us-east-1", "us-west-2"),
        vpcs=("vpc-0123456789abcdef0",),
    )
    document = policy("aws-us-gov", "123456789012", limits)
    assert len("".join(json.dumps(document).split())) <= MOST
    assert {"Sid" in statement for statement in document["Statement"]} == {False}
    named = policy("aws", "123456789012", PolicyLimits(own_machines=own))
    assert {"Sid" in statement for statement in named["Statement"]} == {True}


def test_actions_are_named_with_the_prefixes_of_iam(aws):
    assert named("efs:CreateFileSystem") == "elasticfilesystem:CreateFileSystem"
    assert set(PREFIXES) <= {action.partition(":")[0] for action in ACTIONS}


def test_simulation_reports_no_missing_permission(cloud, aws):
    assert permissions(cloud, ADA) == Permissions(how="simulated")
    assert {call.action for call in aws.calls} == {"SimulatePrincipalPolicy"}


def test_simulation_lists_missing_permissions(cloud, aws):
    aws.rules = build({"denied": ["ec2:TerminateInstances", "elasticfilesystem:*"]})
    answer = permissions(cloud, ADA)
    assert (answer.how, answer.unknown) == ("simulated", ())
    assert answer.missing[0] == "ec2:TerminateInstances"
    assert "elasticfilesystem:CreateFileSystem" in answer.missing


def test_simulation_request_contains_resources_and_context_keys():
    requests = []

    class RecordingCloud(Cloud):
        def __init__(self):
            super().__init__("us-west-2")

        def pages(self, *_, **arguments):
            requests.append(arguments)
            return ()

    permissions(RecordingCloud(), ADA)
    launch = next(sent for sent in requests if ":instance/" in sent["ResourceArns"][0])
    assert launch["ResourceArns"][0] == (
        "arn:aws:ec2:us-west-2:123456789012:instance/0123456789abcdef0"
    )
    entries = {entry["ContextKeyName"]: entry for entry in launch["ContextEntries"]}
    assert entries["aws:RequestTag/prism:managed"]["ContextKeyValues"] == ["true"]
    assert {entry["ContextKeyType"] for entry in launch["ContextEntries"]} == {"string"}
    assert entries["aws:username"]["ContextKeyValues"] == ["prism"]


def test_permissions_are_tried_by_dry_runs_if_simulation_is_denied(cloud, aws):
    aws.rules = build({"denied": ["iam:*", "ec2:DescribeSubnets", "ec2:CreateVolume"]})
    answer = permissions(cloud, ADA)
    assert (answer.how, answer.missing) == ("tried", ("ec2:CreateVolume", "ec2:DescribeSubnets"))
    assert "ec2:TerminateInstances" in answer.unknown
    assert aws.machines() == [] and not cloud.call("ec2", "DescribeVolumes")["Volumes"]


def test_unavailable_aws_is_not_a_missing_permission(cloud, aws):
    aws.fault(action="SimulatePrincipalPolicy", do="error", status=503, times=None)
    with pytest.raises(AwsUnavailable):
        permissions(cloud, ADA)


def test_root_user_lacks_no_permission(cloud, aws):
    root = AwsIdentity(account=ADA.account, arn="arn:aws:iam::123456789012:root")
    assert permissions(cloud, root).missing == ()
    assert aws.calls == []


@pytest.mark.parametrize(
    ("session", "regions", "roles"),
    [
        ("lab/me", ["eu-west-1"], ["lab"]),
        (f"{LAB}/me@example.org", [], [f"{SSO}/{LAB}"]),
        (f"{LAB}/me", ["us-east-1", "us-east-1"], [f"{SSO}/{LAB}"]),
        (f"{LAB}/me", ["eu-west-1", ""], [f"{SSO}/eu-west-1/{LAB}", f"{SSO}/{LAB}"]),
    ],
)
def test_principal_of_a_session_is_its_role(session, regions, roles):
    arn = f"arn:aws:sts::123456789012:assumed-role/{session}"
    identity = AwsIdentity(account=ADA.account, arn=arn)
    expected = tuple(f"arn:aws:iam::123456789012:role/{role}" for role in roles)
    assert principals(identity, *regions) == expected
    assert principals(ADA) == (ADA.arn,)


@pytest.mark.parametrize(
    ("configured", "roles"),
    [
        ("arn:aws:iam::123456789012:role/team/a/lab", ["team/a/lab", "lab"]),
        ("arn:aws:iam::123456789012:role/lab", ["lab"]),
        ("arn:aws:iam::123456789012:role/team/other", ["lab"]),
        ("arn:aws:iam::999999999999:role/team/lab", ["lab"]),
    ],
)
def test_path_of_a_role_is_that_of_awss_files(configured, roles):
    arn = "arn:aws:sts::123456789012:assumed-role/lab/me"
    identity = AwsIdentity(account=ADA.account, arn=arn)
    expected = tuple(f"arn:aws:iam::123456789012:role/{role}" for role in roles)
    assert principals(identity, configured=configured) == expected


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("lab", ("role/lab", "role/*/lab")),
        (LAB, (f"role/{LAB}", f"role/*/{LAB}")),
        ("AWSReservedSSO_Lab", ("Lab_" + "?" * 16, "Lab_" + "?" * 16)),
    ],
)
def test_policy_of_a_role_allows_it_to_ask_about_itself_only(name, ends):
    document = policy("aws", ADA.account, PolicyLimits(role=name))
    [oneself] = [
        statement for statement in document["Statement"] if statement["Sid"] == "CheckOneself"
    ]
    assert oneself["Action"] == "iam:SimulatePrincipalPolicy"
    for arn, end in zip(oneself["Resource"], ends, strict=True):
        assert arn.startswith("arn:aws:iam::123456789012:role/") and arn.endswith(end)
    assert "aws:username" not in json.dumps(document)


def session_of(monkeypatch, path="/", name="lab"):
    """A new cloud uses a session of a role from now on; its identity."""
    iam, sts = boto3.client("iam"), boto3.client("sts")
    role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    session = sts.assume_role(RoleArn=role, RoleSessionName="me")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", session["Credentials"]["AccessKeyId"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", session["Credentials"]["SessionToken"])
    return AwsIdentity(account=ADA.account, arn=session["AssumedRoleUser"]["Arn"])


@by_an_administrator
def test_role_with_a_policy_for_it_is_simulated(aws, monkeypatch):
    identity = session_of(monkeypatch)
    aws.bind(policy(account=ADA.account, limits=PolicyLimits(role="lab")))
    answer = permissions(Cloud("us-west-2", sleep=lambda _: None), identity)
    assert answer == Permissions(how="simulated")


@by_an_administrator
def test_role_in_a_folder_is_simulated_if_awss_files_name_it(aws, monkeypatch):
    identity = session_of(monkeypatch, "/team/")
    aws.bind(policy(account=ADA.account, limits=PolicyLimits(role="lab")))
    cloud = Cloud("us-west-2", sleep=lambda _: None)
    assert permissions(cloud, identity).how == "tried"
    monkeypatch.setenv("AWS_ROLE_ARN", f"arn:aws:iam::{ADA.account}:role/team/lab")
    assert permissions(cloud, identity) == Permissions(how="simulated")


@by_an_administrator
def test_role_with_the_policy_of_a_user_is_tried_and_told_what_helps(aws, monkeypatch):
    identity = session_of(monkeypatch)
    aws.bind(policy(account=ADA.account))
    answer = permissions(Cloud("us-west-2", sleep=lambda _: None), identity)
    assert (answer.how, answer.missing) == ("tried", ())
    assert "`prism aws policy --role lab`" in str(answer.hint)


@by_an_administrator
@pytest.mark.parametrize("own", ["tag", "username"])
def test_policy_with_limits_lacks_nothing_for_its_holder(aws, own):
    limits = PolicyLimits(
        own_machines=own, types=("t3.*",), regions=("us-west-2",), vpcs=("vpc-1",)
    )
    tags = {"aws:PrincipalTag/prism:user": "prism"}
    aws.bind(policy(account=ADA.account, limits=limits), principal=tags)
    cloud = Cloud("us-west-2", sleep=lambda _: None)
    call = SimulatedCall(user="prism", vpc="vpc-1")
    assert permissions(cloud, ADA, call) == Permissions(how="simulated")
    elsewhere = permissions(Cloud("us-east-1", sleep=lambda _: None), ADA, call)
    assert {"ec2:RunInstances", "ec2:CreateVolume"} <= {*elsewhere.missing}
    other = permissions(cloud, ADA, SimulatedCall(user="prism", vpc="vpc-2"))
    assert "ec2:CreateSecurityGroup" in other.missing
    if own == "username":
        eve = permissions(cloud, ADA, SimulatedCall(user="eve", vpc="vpc-1"))
        assert {"ec2:RunInstances", "ec2:StopInstances"} <= {*eve.missing}


@by_an_administrator
@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "us-west-2"])
def test_permissions_of_a_role_of_identity_center_are_simulated_in_every_region(
    cloud, aws, region, tmp_path, monkeypatch
):
    """Its path has the region of Identity Center, which the configuration or ours names."""
    config = tmp_path / "config"
    config.write_text(
        f"[profile lab]\nsso_session = uni\n[sso-session uni]\nsso_region = {region}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    aws.sessions.log_in_to_portal(ADA.account, "Lab", region)
    [role] = aws.sessions.portal_regions
    arn = f"arn:aws:sts::123456789012:assumed-role/{role}/me"
    identity = AwsIdentity(account=ADA.account, arn=arn)
    monkeypatch.setattr(cloud, "login_method", Cloud("us-west-2", "lab").login_method)
    aws.rules = build({"denied": ["ec2:RunInstances"]})
    answer = permissions(cloud, identity)
    assert (answer.how, answer.missing) == ("simulated", ("ec2:RunInstances",))


def test_action_that_the_organization_denies_is_missing_and_says_why(cloud, aws):
    """IAM's decision is `allowed`: the service control policy is beside it."""
    aws.rules = build({"organization": ["ec2:RunInstances"]})
    answer = permissions(cloud, ADA)
    assert answer.missing == ("ec2:RunInstances",)
    assert "service control policy of the organization denies it" in answer.reasons[0]
    assert "administers your AWS organization" in str(answer.remediation)
    assert "prism aws policy" not in str(answer.remediation)


@pytest.mark.parametrize(
    ("reasons", "advice"),
    [
        (("ec2:StopInstances: a policy denies it",), "remove what denies it"),
        (("ec2:StopInstances: an identity-based policy denies it",), "remove what denies it"),
        (("ec2:A: a policy denies it", "ec2:B: no policy allows it"), "prism aws policy"),
    ],
)
def test_explicit_denial_is_not_answered_with_the_policy(reasons, advice):
    """What a policy denies stays denied, whatever else is attached."""
    answer = Permissions(how="simulated", missing=("ec2:StopInstances",), reasons=reasons)
    assert advice in str(answer.remediation)


@pytest.mark.parametrize(
    ("rule", "advice"),
    [("organization", "AWS organization"), ("denied", "prism aws policy")],
)
def test_dry_runs_say_which_policy_denies(cloud, aws, rule, advice):
    aws.rules = build({rule: ["ec2:CreateVolume", "iam:*"]})
    answer = permissions(cloud, ADA)
    assert (answer.how, answer.missing) == ("tried", ("ec2:CreateVolume",))
    assert advice in str(answer.remediation)


def test_rules_contain_only_called_or_implied_actions():
    for rule in RULES:
        assert set(rule.actions) <= ACTIONS | IMPLIED, rule.sid
