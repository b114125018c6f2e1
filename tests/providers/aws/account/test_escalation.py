"""Nobody becomes an administrator by what Prism prints; and the lint that says so can find it."""

import pytest

from prism.providers.aws.account.policy import policy, setup_policy
from prism.providers.aws.prerequisites.roles import NAME, RIGHTS
from tests.providers.aws.account.escalation import findings


def statement(actions, resource="*", **condition):
    statement = {"Sid": "S", "Effect": "Allow", "Action": actions, "Resource": resource}
    return {"Statement": [statement | ({"Condition": condition} if condition else {})]}


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_the_daily_policy_leads_to_no_other_rights(partition):
    assert [*findings(policy(partition, "123456789012"), [NAME])] == []


def test_the_role_that_machines_get_leads_to_no_other_rights():
    assert [*findings(RIGHTS)] == []
    assert {right["Action"] for right in RIGHTS["Statement"]} == {"ec2:StopInstances"}


def test_the_setup_is_an_administrators_and_the_lint_knows_it():
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
def test_the_lint_finds_what_would_be_one(document, escalation):
    assert escalation in [*findings(document, [NAME])]
