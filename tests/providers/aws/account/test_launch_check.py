"""A dry run of a launch says what every policy says, and makes nothing."""

import pytest

from aws_double.rulebook import build
from prism.providers.aws.account.launch_check import FIRST, launch_check, network_id
from prism.providers.aws.account.policy import PolicyLimits, policy
from prism.providers.aws.api.cloud import Cloud
from tests.aws_policies import by_an_administrator

pytestmark = by_an_administrator  # each test binds a policy of its own
ACCOUNT = "123456789012"


@pytest.fixture
def check(aws_parts, tmp_path):
    """The check of a home that has launched before."""
    aws_parts.prepare()
    aws_parts.pass_on()
    return lambda user="ada": launch_check(aws_parts.cloud, tmp_path, "lab", user)


def bind(aws_parts, **limits):
    tags = {"aws:PrincipalTag/prism:user": "ada"}
    limited = policy(account=ACCOUNT, limits=PolicyLimits(**limits))
    return aws_parts.aws.bind(limited, principal=tags)


def test_launch_is_allowed_by_the_daily_policy_and_makes_nothing(aws_parts, check):
    bind(aws_parts)
    before = len(aws_parts.calls())
    assert (check().ok, check().message) == (True, "a t3.medium would be allowed")
    assert aws_parts.aws.machines() == []
    changes = {
        call for call in aws_parts.calls()[before:] if call.startswith(("Create", "Import"))
    }
    assert changes == set()


def test_launch_is_unknown_before_the_first_one(aws_parts, tmp_path):
    answer = launch_check(aws_parts.cloud, tmp_path, "lab", "ada")
    assert (answer.ok, answer.message) == (None, FIRST)
    assert not (tmp_path / "keys" / "lab").exists(), "it makes no key"
    assert not {"ImportKeyPair", "CreateSecurityGroup"} & set(aws_parts.calls())


@pytest.mark.parametrize(
    ("limits", "user", "is_allowed"),
    [
        ({"own_machines": "tag"}, "ada", True),
        ({"own_machines": "tag"}, "eve", False),
        ({"own_machines": "username"}, "prism", True),
        ({"own_machines": "username"}, "ada", False),
        ({"types": ("t3.*",)}, "ada", True),
        ({"types": ("c6i.*",)}, "ada", False),
        ({"regions": ("us-west-2",)}, "ada", False),
        ({"vpcs": ("vpc-0123456789abcdef0",)}, "ada", False),
    ],
)
def test_limits_of_the_policy_are_known(aws_parts, check, limits, user, is_allowed):
    bind(aws_parts, **limits)
    answer = check(user)
    assert answer.ok is is_allowed
    if not is_allowed:
        assert f"a t3.medium for {user} is refused" in answer.message
        assert answer.remediation


def test_wrong_tag_of_the_principal_is_named_if_the_policy_is_there(aws_parts, check, tmp_path):
    """The simulation assumes that the tag is right."""
    bind(aws_parts, own_machines="tag")
    answer = launch_check(aws_parts.cloud, tmp_path, "lab", "eve", has_policy=True)
    assert "the tag prism:user of your IAM user or role must be eve" in answer.remediation
    assert "prism aws policy" in check("eve").remediation


def test_network_of_a_limited_policy_is_the_one_of_the_profile(aws_parts, check, tmp_path):
    vpc = network_id(aws_parts.cloud, tmp_path, "lab")
    bind(aws_parts, vpcs=(vpc,))
    assert check().ok is True


def test_policy_of_the_organization_is_named(aws_parts, check):
    aws_parts.aws.rules = build({"organization": ["ec2:RunInstances"]})
    answer = check()
    assert answer.ok is False
    assert "service control policy" in answer.message
    assert "AWS organization" in answer.remediation


def test_launch_without_the_right_to_pass_the_role_is_allowed_and_says_so(aws_parts, check):
    aws_parts.aws.rules = build({"denied": ["iam:PassRole"]})
    answer = check()
    assert answer.ok is True
    assert "without its role" in answer.message and "iam:PassRole" in answer.message


def test_account_with_the_free_plan_is_asked_about_a_type_that_it_includes(aws_parts, check):
    aws_parts.aws.rules = build({"free_plan": True})
    assert check().message == "a t3.small would be allowed"


def test_network_is_unknown_if_it_may_not_be_looked_up(aws_parts, tmp_path):
    aws_parts.aws.rules = build({"denied": ["ec2:DescribeVpcs"]})
    assert network_id(Cloud("us-east-1", sleep=lambda _: None), tmp_path, "lab") is None
