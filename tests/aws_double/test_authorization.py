"""IAM: what policies allow, and which further permissions a call needs."""

import pytest

from aws_double.authorization import principal_keys
from aws_double.policies import decide, statements
from tests.aws_double.boto import (
    ACCOUNT,
    launch_instance,
    order,
    refusal_message,
    refused,
    set_rules,
)
from tests.aws_double.test_network import PUBLIC_KEY

MANAGED = {"Key": "prism:managed", "Value": "true"}
NEW = {"StringEquals": {"aws:RequestTag/prism:managed": "true"}}
OURS = {"StringEquals": {"aws:ResourceTag/prism:managed": "true"}}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/machine"


def allow(actions, resource="*", condition=None, effect="Allow", sid="S"):
    statement = {"Sid": sid, "Effect": effect, "Action": actions, "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def decided(
    *statement, action="ec2:StopInstances", resource="arn:aws:ec2:r:1:instance/i-1", **context
):
    return decide(statements(policy(*statement)), action, resource, context)


def test_policy_denies_by_default_and_deny_overrides_allow():
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    assert decided(allow("ec2:StartInstances")) == (False, "implicitDeny")
    assert decided(allow("ec2:Stop*", sid="Some")) == (True, "Some")
    assert decided(allow("ec2:*"), allow("ec2:Stop*", effect="Deny", sid="No")) == (False, "No")


def test_policy_action_ignores_case_and_resource_has_wildcards():
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html"""
    assert decided(allow("EC2:stopinstances", "arn:aws:ec2:*:1:instance/*"))[0]
    assert not decided(allow("ec2:StopInstances", "arn:aws:ec2:*:2:instance/*"))[0]


def test_statement_with_a_variable_without_a_value_is_void():
    """If AWS cannot resolve a variable, the entire statement may be invalid.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    oneself = allow("iam:Get*", ["arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:role/lab"])
    request = {"action": "iam:GetRole", "resource": "arn:aws:iam::1:role/lab"}
    user = principal_keys("arn:aws:iam::1:user/team/ada")
    assert user == {"aws:username": "ada"}
    assert decided(oneself, **request, **user)[0]
    assert not decided(
        oneself, **request, **principal_keys("arn:aws:sts::1:assumed-role/lab/ada")
    )[0]


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        (OURS, {"aws:ResourceTag/prism:managed": "true"}, True),
        (OURS, {"aws:ResourceTag/prism:managed": "false"}, False),
        (OURS, {}, False),
        ({"StringEquals": {"k": ["a", "b"]}}, {"k": "b"}, True),
        ({"StringLike": {"k": "a*"}}, {"k": "abc"}, True),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "c"}, True),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "b"}, False),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {}, True),
        ({"Bool": {"aws:ViaAWSService": "true"}}, {"aws:ViaAWSService": "true"}, True),
        ({"Bool": {"aws:ViaAWSService": "true"}}, {}, False),
        ({"ArnLike": {"k": "arn:*:iam::*:role/x"}}, {"k": "arn:aws:iam::1:role/x"}, True),
        ({"ArnLike": {"k": "arn:*:role/x"}}, {"k": "arn:aws:iam::1:role/x"}, False),
        ({"ArnLike": {"k": "arn:*:ec2:*:*:instance/${v}"}, "StringEquals": {"w": "1"}},
         {"k": "arn:aws:ec2:r:1:instance/i-1", "v": "i-1", "w": "1"}, True),
        ({"ArnLike": {"k": "arn:*:ec2:*:*:instance/${v}"}},
         {"k": "arn:aws:ec2:r:1:instance/i-1"}, False),
    ],
)  # fmt: skip
def test_policy_condition_is_false_without_its_key(condition, context, holds):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"""
    assert decided(allow("*", condition=condition), **context)[0] is holds


@pytest.mark.parametrize(
    "addition", [{"NotAction": "ec2:*"}, {"Condition": {"NumericEquals": {"k": "1"}}}]
)
def test_policy_with_an_unsupported_element_raises(addition):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html"""
    with pytest.raises(ValueError, match="does not know"):
        statements(policy(allow("ec2:*") | addition))


def test_refused_run_instances_names_the_missing_permission(aws, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    aws.bind(policy(allow("ec2:Describe*")))
    ec2.describe_instances()
    assert "ec2:RunInstances" in refusal_message(
        "UnauthorizedOperation", ec2.run_instances, **order()
    )


def test_policy_applies_only_to_its_user(aws, ec2):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_identity-vs-resource.html"""
    aws.bind(policy(allow("ec2:Describe*")), "other-user")
    assert launch_instance(ec2)


def test_tag_conditions_use_resource_tags_or_request_tags(aws, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/control-access-with-tags.html"""
    strange, ours = launch_instance(ec2), launch_instance(ec2, {"prism:managed": "true"})
    aws.bind(policy(allow("ec2:TerminateInstances", condition=OURS), allow("ec2:CreateVolume",
             condition=NEW), allow("ec2:CreateTags", condition={"StringEquals": {
                 "ec2:CreateAction": "CreateVolume"}})))  # fmt: skip
    refused("UnauthorizedOperation", ec2.terminate_instances, InstanceIds=[strange])
    refused("UnauthorizedOperation", ec2.terminate_instances, InstanceIds=[ours, strange])
    ec2.terminate_instances(InstanceIds=[ours])
    size = {"AvailabilityZone": "us-east-1a", "Size": 1}
    refused("UnauthorizedOperation", ec2.create_volume, **size)
    specifications = [{"ResourceType": "volume", "Tags": [MANAGED]}]
    volume = ec2.create_volume(**size, TagSpecifications=specifications)["VolumeId"]
    refused("UnauthorizedOperation", ec2.create_tags, Resources=[volume], Tags=[MANAGED])


def test_terminating_an_unknown_instance_answers_not_found(aws, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    aws.bind(policy(allow("ec2:TerminateInstances", condition=OURS)))
    refused("InvalidInstanceID.NotFound", ec2.terminate_instances, InstanceIds=["i-0123456789"])


def with_role(iam):
    iam.create_role(RoleName="machine", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="machine")
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="machine")
    return {"IamInstanceProfile": {"Name": "machine"}}


def test_launch_with_an_instance_profile_requires_pass_role(aws, ec2, iam):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html"""
    profile = with_role(iam)
    caller = aws.bind(policy(allow("ec2:*")))
    assert "iam:PassRole" in refusal_message(
        "UnauthorizedOperation", ec2.run_instances, **order(**profile)
    )
    assert caller.denied == [("iam:PassRole", ROLE)]
    assert launch_instance(ec2)
    to_ec2 = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    aws.reset()
    set_rules(aws)
    profile = with_role(iam)
    aws.bind(policy(allow("ec2:*"), allow("iam:PassRole", ROLE, to_ec2)))
    assert launch_instance(ec2, **profile)


def test_policy_condition_on_the_instance_profile_is_applied(aws, ec2, iam):
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""
    without, profile = launch_instance(ec2), with_role(iam)
    having = launch_instance(ec2, **profile)
    arn = f"arn:aws:iam::{ACCOUNT}:instance-profile/machine"
    aws.bind(policy(allow("ec2:*", condition={"ArnLike": {"ec2:InstanceProfile": arn}})))
    refused("UnauthorizedOperation", ec2.terminate_instances, InstanceIds=[without])
    ec2.terminate_instances(InstanceIds=[having])


def test_launch_requires_permission_for_every_resource_that_it_uses(aws, ec2):
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""
    kinds = ["instance", "volume", "network-interface", "subnet", "image", "security-group"]
    for missing in kinds:
        aws.reset()
        [subnet, *_] = ec2.describe_subnets()["Subnets"]
        [group, *_] = ec2.describe_security_groups()["SecurityGroups"]
        request = order(SubnetId=subnet["SubnetId"], SecurityGroupIds=[group["GroupId"]])
        allowed = [f"arn:aws:ec2:*:*:{kind}/*" for kind in kinds if kind != missing]
        images = "arn:aws:ec2:*::image/*"
        aws.bind(policy(allow("ec2:*", [*allowed, *([images] if missing != "image" else [])])))
        assert f"{missing}/" in refusal_message(
            "UnauthorizedOperation", ec2.run_instances, **request
        )


def test_first_spot_instance_requires_permission_to_create_the_service_role(aws, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html"""
    market = {"InstanceMarketOptions": {"MarketType": "spot"}}
    aws.bind(policy(allow("ec2:*")))
    refusal = refusal_message("UnauthorizedOperation", ec2.run_instances, **order(**market))
    assert "iam:CreateServiceLinkedRole" in refusal
    aws.reset()
    condition = {"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}}
    caller = aws.bind(
        policy(allow("ec2:*"), allow("iam:Create*", condition=condition, sid="Make"))
    )
    launch_instance(ec2, **market), launch_instance(ec2, **market)
    assert ("Make", "iam:CreateServiceLinkedRole") in caller.used
    aws.reset()
    launch_instance(ec2, **market)
    aws.bind(policy(allow("ec2:*")))
    assert launch_instance(ec2, **market), "the service role exists"


def test_create_mount_target_requires_ec2_permissions_via_the_service(aws, ec2, efs):
    """https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html"""
    file_system = efs.create_file_system(CreationToken="t")["FileSystemId"]
    aws.clock.advance(1)
    [subnet, *_] = ec2.describe_subnets()["Subnets"]
    target = {"FileSystemId": file_system, "SubnetId": subnet["SubnetId"]}
    aws.bind(policy(allow("elasticfilesystem:*")))
    refused("AccessDeniedException", efs.create_mount_target, **target)
    aws._dispatcher.callers.clear()
    via = {"Bool": {"aws:ViaAWSService": "true"}}
    caller = aws.bind(policy(allow("elasticfilesystem:*"), allow("ec2:*", condition=via)))
    efs.create_mount_target(**target)
    assert ("S", "ec2:CreateNetworkInterface") in caller.used
    refused("UnauthorizedOperation", ec2.describe_instances)


def test_simulate_principal_policy_returns_the_decisions_of_the_policy(aws, iam):
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html"""
    aws.bind(policy(allow("iam:Simulate*"), allow("ec2:StopInstances", condition=OURS)))
    request = {"PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/ada",
             "ActionNames": ["ec2:StopInstances", "ec2:RunInstances"]}  # fmt: skip
    tag = {"ContextKeyName": "aws:ResourceTag/prism:managed", "ContextKeyValues": ["true"],
           "ContextKeyType": "string"}  # fmt: skip
    results = iam.simulate_principal_policy(**request, ContextEntries=[tag])["EvaluationResults"]
    assert [result["EvalDecision"] for result in results] == ["allowed", "implicitDeny"]
    results = iam.simulate_principal_policy(**request)["EvaluationResults"]
    assert [result["EvalDecision"] for result in results] == ["implicitDeny", "implicitDeny"]


def test_dry_run_without_permission_is_refused(aws, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html"""
    aws.bind(policy(allow("ec2:Describe*")))
    refused("UnauthorizedOperation", ec2.run_instances, **order(DryRun=True))


def test_key_pair_is_deleted_only_with_the_tag_that_the_policy_names(aws, ec2):
    """DeleteKeyPair knows the key pair as its resource, by id too, with its tags.

    Actions, resources, and condition keys for Amazon EC2
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    """
    ids = {}
    for name, tags in (("ours", [{"Key": "a", "Value": "b"}]), ("theirs", [])):
        kind = [{"ResourceType": "key-pair", "Tags": tags}] if tags else []
        pair = ec2.import_key_pair(
            KeyName=name, PublicKeyMaterial=PUBLIC_KEY, TagSpecifications=kind
        )
        ids[name] = pair["KeyPairId"]
    statement = {
        "Effect": "Allow",
        "Action": "ec2:DeleteKeyPair",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/a": "b"}},
    }
    aws.bind({"Version": "2012-10-17", "Statement": [statement]})
    refused("UnauthorizedOperation", ec2.delete_key_pair, KeyPairId=ids["theirs"])
    refused("UnauthorizedOperation", ec2.delete_key_pair, KeyName="theirs")
    ec2.delete_key_pair(KeyPairId=ids["ours"])
