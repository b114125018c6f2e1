"""The printed policies allow no privilege escalation; the lint finds known escalations."""

import pytest

from prism.providers.aws.account.policy import policy, setup_policy
from prism.providers.aws.prerequisites.roles import NAME, RIGHTS
from tests.providers.aws.account.escalation import findings


def statement(actions, resource="*", **condition):
    statement = {"Sid": "S", "Effect": "Allow", "Action": actions, "Resource": resource}
    return {"Statement": [statement | ({"Condition": condition} if condition else {})]}


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_daily_policy_allows_no_escalation(partition):
    assert [*findings(policy(partition, "123456789012"), [NAME])] == []


def test_machine_role_allows_no_escalation():
    assert [*findings(RIGHTS)] == []
    assert {right["Action"] for right in RIGHTS["Statement"]} == {"ec2:StopInstances"}


def test_lint_finds_the_escalation_of_the_setup_policy():
    escalations = [*findings(setup_policy(), [NAME])]
    assert "iam:CreateRole and iam:PutRolePolicy" in escalations


@pytest.mark.parametrize(
    ("document", "escalation"),
    [
        (statement("iam:*"), "iam:CreatePolicyVersion"),
        (statement("*"), "S: *"),
        (statement(["iam:CreateRole", "iam:PutRolePolicy"]),
         "iam:CreateRole and iam:PutRolePolicy"),
        (statement("iam:PassRole", "arn:aws:iam::1:role/prism-machine-*"),
         "iam:PassRole of arn:aws:iam::1:role/prism-machine-*"),
        (statement("iam:PassRole", f"arn:aws:iam::1:role/{NAME}"), "iam:PassRole to any service"),
        (statement("ec2:ModifyInstanceAttribute"),
         "ec2:ModifyInstanceAttribute: user data of any machine, which may have any role"),
        (statement("ec2:RunInstances", "arn:aws:ec2:*::snapshot/*"),
         "ec2:RunInstances: a disk of any snapshot"),
        (statement("ec2:RunInstances", "arn:aws:ec2:*::image/*"),
         "ec2:RunInstances: any private image"),
        (statement("ec2:*"), "ec2:RunInstances: any private image"),
        (statement("ec2:CreateVolume", StringEquals={"aws:RequestTag/prism:managed": "true"}),
         "ec2:CreateVolume: a volume of any snapshot"),
        (statement("ec2:CreateSnapshot", ["arn:aws:ec2:*:1:volume/*"]),
         "ec2:CreateSnapshot: a snapshot of any volume"),
        (statement("kms:Decrypt"), "kms:Decrypt: data of others"),
        (statement("ec2:DescribeInstanceAttribute"),
         "ec2:DescribeInstanceAttribute: data of others"),
        (statement("iam:SimulatePrincipalPolicy", "arn:aws:iam::1:role/*"),
         "iam:SimulatePrincipalPolicy of arn:aws:iam::1:role/*: rights of others"),
        (statement("ssm:GetParameter"), "ssm:GetParameter of *: secrets of others"),
        (statement("ec2:CreateTags"),
         "ec2:CreateTags: a tag that opens all other statements, on anything"),
    ],
)  # fmt: skip
def test_lint_finds_known_escalations(document, escalation):
    assert escalation in [*findings(document, [NAME])]
