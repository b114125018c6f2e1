"""The machine role allows a machine only to stop itself, and the daemon creates no role."""

import pytest

from aws_double.policies import decide, statements
from aws_double.rulebook import build
from prism.providers.aws.account.setup import apply
from prism.providers.aws.prerequisites.roles import NAME, RIGHTS
from tests import aws_setup as setup

MINE = "arn:aws-cn:ec2:cn-north-1:123456789012:instance/i-0123"
CHANGES = ("Create", "Put", "Add", "Delete", "Attach", "Tag")


@pytest.fixture
def administrator(stopped_aws):
    return setup.administrator(stopped_aws)


def granted(source, target, managed="true"):
    """IAM's verdict, by keys that are documented only.

    EC2 User Guide, "Identity-based policies for Amazon EC2": `ec2:SourceInstanceARN` is the
    instance from which a request is made, `ec2:InstanceID` the one that it is about.
    """
    context = {"ec2:InstanceID": target, "aws:ResourceTag/prism:managed": managed}
    context |= {"ec2:SourceInstanceARN": source} if source else {}
    return decide(statements(RIGHTS), "ec2:StopInstances", MINE, context)[0]


def test_machine_role_allows_a_machine_only_to_stop_itself():
    assert granted(source=MINE, target="i-0123")
    assert not granted(source=MINE, target="i-01234")
    assert not granted(source=MINE, target="i-0123", managed="false")
    assert not granted(source=None, target="i-0123"), "only a machine has such a source"


def test_role_of_the_setup_is_used_and_requested_once(
    make_prerequisites, administrator, count_calls
):
    apply(administrator)
    assert make_prerequisites().role() == NAME
    prerequisites, calls = make_prerequisites(), count_calls("GetInstanceProfile")
    assert prerequisites.role() == prerequisites.role() == NAME
    assert count_calls("GetInstanceProfile") == calls + 1, "IAM is not called at each launch"


def test_daemon_creates_no_role(aws, prerequisites):
    """A user who may create a role and pass it can become an administrator."""
    assert prerequisites.role() is None
    assert not [
        call.action
        for call in aws.calls
        if call.service == "iam" and call.action.startswith(CHANGES)
    ]


@pytest.mark.parametrize("left", ["CreateInstanceProfile", "AddRoleToInstanceProfile"])
def test_incomplete_setup_gives_no_role(aws, prerequisites, administrator, left):
    aws.rules = build({"denied": [f"iam:{left}"]})
    with pytest.raises(Exception, match=left):
        apply(administrator)
    assert prerequisites.role() is None


def test_denied_iam_gives_no_role_and_is_asked_once(
    aws, prerequisites, administrator, count_calls
):
    apply(administrator)
    aws.rules = build({"denied": ["iam:*"]})
    assert prerequisites.role() is None
    calls = count_calls("GetInstanceProfile")
    assert prerequisites.role() is None
    assert count_calls("GetInstanceProfile") == calls, "IAM is not called at each launch"


def test_instance_profile_with_another_role_is_not_used(aws, prerequisites):
    """Its rights are unknown, and an instance profile holds only one role."""
    import boto3

    aws.rules = build({"like": "consistent"})
    iam = boto3.client("iam")
    iam.create_role(RoleName="admin", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName=NAME)
    iam.add_role_to_instance_profile(InstanceProfileName=NAME, RoleName="admin")
    assert prerequisites.role() is None
