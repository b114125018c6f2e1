"""The identity and the permissions of a caller, and IAM roles."""

import json
import urllib.parse
import urllib.request

from tests.aws_double.boto import (
    ACCOUNT,
    OTHER,
    client,
    instance_ids,
    launch_instance,
    order,
    refusal_message,
    refused,
    set_rules,
)


def test_get_caller_identity_returns_account_and_arn(aws):
    """Account, ARN and id; no permission is needed.

    GetCallerIdentity
    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    for account in (ACCOUNT, OTHER):
        caller = client(aws, "sts", account=account).get_caller_identity()
        assert caller["Account"] == account
        assert caller["Arn"] == f"arn:aws:iam::{account}:user/prism"


def test_instances_of_another_account_are_not_listed(aws, ec2):
    """Your resources are in your account.

    AWS account identifiers
    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-identifiers.html
    """
    launch_instance(ec2)
    assert instance_ids(client(aws, "ec2", account=OTHER)) == []


def test_denied_action_is_refused_and_named(aws, ec2):
    """UnauthorizedOperation, 403, with the action, also for a dry run; nothing is done.

    Error codes for the Amazon EC2 API
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    set_rules(aws, denied=["ec2:Run*", "elasticfilesystem:*", "GetFederationToken"])
    assert "ec2:RunInstances" in refusal_message(
        "UnauthorizedOperation", ec2.run_instances, **order()
    )
    refused("UnauthorizedOperation", ec2.run_instances, **order(DryRun=True))
    assert aws.machines() == []
    efs, sts = client(aws, "efs"), client(aws, "sts")
    refusal = refusal_message("AccessDeniedException", efs.create_file_system, CreationToken="a")
    assert "elasticfilesystem:CreateFileSystem" in refusal
    assert "sts:GetFederationToken" in refusal_message(
        "AccessDenied", sts.get_federation_token, Name="me"
    )
    assert instance_ids(ec2) == []


def test_simulate_principal_policy_returns_denied_actions(aws):
    """SimulatePrincipalPolicy: allowed, or an implicit deny.

    SimulatePrincipalPolicy
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    set_rules(aws, denied=["ec2:RunInstances"])
    results = client(aws, "iam").simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/prism",
        ActionNames=["ec2:RunInstances", "ec2:StopInstances"],
    )["EvaluationResults"]
    assert {result["EvalActionName"]: result["EvalDecision"] for result in results} == {
        "ec2:RunInstances": "implicitDeny",
        "ec2:StopInstances": "allowed",
    }


def test_federation_token_is_exchanged_for_a_sign_in_token(aws):
    """GetFederationToken, then getSigninToken at the federation endpoint.

    Enable custom identity broker access to the AWS console
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_enable-console-custom-url.html
    """
    sts = client(aws, "sts")
    refused("ValidationError", sts.get_federation_token, Name="me", DurationSeconds=129601)
    keys = sts.get_federation_token(Name="me", DurationSeconds=3600)["Credentials"]
    assert (keys["Expiration"] - aws.clock.now()).total_seconds() <= 3600
    session = {
        "sessionId": keys["AccessKeyId"],
        "sessionKey": keys["SecretAccessKey"],
        "sessionToken": keys["SessionToken"],
    }
    query = {"Action": "getSigninToken", "Session": json.dumps(session)}
    url = f"{aws.url}/federation?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url) as answer:
        assert json.load(answer)["SigninToken"]


def test_assume_role_returns_temporary_keys(aws):
    """Temporary keys, and an ARN that names role and session.

    AssumeRole
    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    """
    answer = client(aws, "sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/admin", RoleSessionName="ada"
    )
    assert answer["AssumedRoleUser"]["Arn"].endswith(":assumed-role/admin/ada")
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")


TRUST = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}


def test_role_and_instance_profile_are_created_linked_and_deleted(aws):
    """Names are taken once, a profile holds one role, what has something is not deleted.

    Use instance profiles
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_switch-role-ec2_instance-profiles.html
    """
    iam, role, profile = client(aws, "iam"), {"RoleName": "r"}, {"InstanceProfileName": "p"}
    new_role = {**role, "AssumeRolePolicyDocument": json.dumps(TRUST)}
    refused("NoSuchEntity", iam.get_role, **role)
    iam.create_role(**new_role)
    refused("EntityAlreadyExists", iam.create_role, **new_role)
    assert iam.get_role(**role)["Role"]["AssumeRolePolicyDocument"] == TRUST
    policy = {**role, "PolicyName": "tags"}
    refused("NoSuchEntity", iam.get_role_policy, **policy)
    iam.put_role_policy(**policy, PolicyDocument=json.dumps(TRUST))
    assert iam.get_role_policy(**policy)["PolicyDocument"] == TRUST
    refused("NoSuchEntity", iam.add_role_to_instance_profile, **role, **profile)
    iam.create_instance_profile(**profile)
    refused("EntityAlreadyExists", iam.create_instance_profile, **profile)
    iam.add_role_to_instance_profile(**role, **profile)
    refused("LimitExceeded", iam.add_role_to_instance_profile, **role, **profile)
    [held] = iam.get_instance_profile(**profile)["InstanceProfile"]["Roles"]
    assert held["RoleName"] == "r"
    refused("DeleteConflict", iam.delete_instance_profile, **profile)
    iam.delete_role_policy(**policy)
    refused("NoSuchEntity", iam.delete_role_policy, **policy)
    refused("DeleteConflict", iam.delete_role, **role)
    iam.remove_role_from_instance_profile(**role, **profile)
    refused("NoSuchEntity", iam.remove_role_from_instance_profile, **role, **profile)
    iam.put_role_policy(**policy, PolicyDocument=json.dumps(TRUST))
    refused("DeleteConflict", iam.delete_role, **role)
    iam.delete_role_policy(**policy)
    iam.delete_role(**role)
    iam.delete_instance_profile(**profile)
    refused("NoSuchEntity", iam.get_instance_profile, **profile)


def test_iam_roles_are_global_in_an_account(aws):
    """IAM is a global service: one set of roles for the account.

    AWS Identity and Access Management endpoints and quotas
    https://docs.aws.amazon.com/general/latest/gr/iam-service.html
    """
    trust = json.dumps(TRUST)
    client(aws, "iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust)
    [role] = client(aws, "iam", "eu-west-1").list_roles()["Roles"]
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/r"
    assert client(aws, "iam", account=OTHER).list_roles()["Roles"] == []
