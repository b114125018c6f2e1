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
        (statement("ec2:CreateTags"),
         "ec2:CreateTags: a tag that opens all other statements, on anything"),
    ],
)  # fmt: skip
def test_lint_finds_known_escalations(document, escalation):
    assert escalation in [*findings(document, [NAME])]
