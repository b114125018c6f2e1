"""Which policy denies a call, from AWS's own words."""

import pytest

from prism.providers.aws.api.denials import denial_of
from prism.providers.aws.api.faults import AwsDenied, fault_of

USER = "User: arn:aws:iam::777788889999:user/JohnDoe is not authorized to perform: "
SCP = "arn:aws:organizations::777788889999:policy/o-exampleorgid/service_control_policy/p-example"
# The examples of IAM User Guide, "Troubleshoot access denied error messages".
EXAMPLES = [
    (
        "codecommit:ListRepositories because no service control policy allows the "
        "codecommit:ListRepositories action",
        ("codecommit:ListRepositories", "service control", False),
        "AWS organization",
    ),
    (
        "codecommit:ListRepositories with an explicit deny in a service control policy",
        ("codecommit:ListRepositories", "service control", True),
        "AWS organization",
    ),
    (
        f"ec2:RunInstances on resource: arn:aws:ec2:us-east-1:1:instance/* with an explicit deny "
        f"in a service control policy: {SCP}. Encoded authorization failure message: 4GIOHlTkIaWH",
        ("ec2:RunInstances", "service control", True),
        "AWS organization",
    ),
    (
        "secretsmanager:GetSecretValue because no resource control policy allows the "
        "secretsmanager:GetSecretValue action",
        ("secretsmanager:GetSecretValue", "resource control", False),
        "AWS organization",
    ),
    (
        "codeartifact:ListRepositories because no VPC endpoint policy allows the "
        "codeartifact:ListRepositories action",
        ("codeartifact:ListRepositories", "VPC endpoint", False),
        "VPC endpoint",
    ),
    (
        "sns:Publish on resource: arn:aws:sns:us-east-1:1:x with an explicit deny in a "
        "permissions boundary",
        ("sns:Publish", "permissions boundary", True),
        "permissions boundary",
    ),
    (
        "iam:CreateUser because no permissions boundary allows the iam:CreateUser action",
        ("iam:CreateUser", "permissions boundary", False),
        "permissions boundary",
    ),
    (
        "codedeploy:ListDeployments because no session policy allows the "
        "codedeploy:ListDeployments action",
        ("codedeploy:ListDeployments", "session", False),
        "session",
    ),
    (
        "iam:PassRole on resource: arn:aws:iam::1:role/x because no identity-based policy allows "
        "the iam:PassRole action",
        ("iam:PassRole", "identity-based", False),
        "prism aws policy",
    ),
    (
        "ec2:RunInstances with an explicit deny in an identity-based policy",
        ("ec2:RunInstances", "identity-based", True),
        "administrator",
    ),
    ("ec2:RunInstances", ("ec2:RunInstances", "", False), "prism aws policy"),
]


@pytest.mark.parametrize(("words", "expected", "advice"), EXAMPLES)
def test_denial_names_the_policy_and_who_can_change_it(words, expected, advice):
    denial = denial_of("ec2:RunInstances", USER + words)
    assert (denial.action, denial.policy, denial.explicit) == expected
    assert advice in denial.remediation
    problem = fault_of("ec2:RunInstances", "UnauthorizedOperation", USER + words, 403)
    assert isinstance(problem, AwsDenied)
    assert expected[0] in problem.message
    assert expected[1] in problem.message
    assert "Encoded" not in problem.details


def test_denial_by_an_organization_names_the_policy():
    message = f"{USER}ec2:RunInstances with an explicit deny in a service control policy: {SCP}"
    denial = denial_of("ec2:RunInstances", message)
    assert denial.arn == SCP
    assert denial.reason == "a service control policy denies it (p-example)"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            "with an explicit deny in an identity-based policy",
            "an identity-based policy denies it",
        ),
        ("with an explicit deny in a permissions boundary", "a permissions boundary denies it"),
        ("because no permissions boundary allows the", "no permissions boundary allows it"),
        ("because no session policy allows the", "no session policy allows it"),
    ],
)
def test_reason_is_a_sentence(words, reason):
    assert denial_of("ec2:RunInstances", f"{USER}ec2:RunInstances {words}").reason == reason


def test_denial_without_words_names_the_call():
    denial = denial_of("ec2:RunInstances", "You are not authorized.")
    assert (denial.action, denial.reason) == ("ec2:RunInstances", "")
