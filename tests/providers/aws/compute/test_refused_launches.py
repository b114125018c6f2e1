"""A launch that EC2 refuses, or ends after it has accepted it, says why in AWS's own words."""

import pytest

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.api.faults import (
    AccountPending,
    AwsDenied,
    AwsRefused,
    NotInFreePlan,
    TypeNotOffered,
)
from prism.providers.aws.compute.lifecycle import PREREQUISITE_TIMEOUT
from prism.providers.aws.prerequisites.images import NoImage
from prism.workspaces.model import Observed
from prism.workspaces.ports import NextAttempt
from tests.providers.aws.place import AwsParts


@pytest.fixture
def aws_parts(stopped_aws, cloud, tmp_path):
    parts = AwsParts(stopped_aws, cloud, tmp_path)
    parts.set_up()
    return parts


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Client.VolumeLimitExceeded", "quota of EBS storage"),
        ("Client.InternalError", "KMS key"),
        ("Client.InvalidSnapshot.NotFound", "snapshot"),
        ("Server.InternalError", "launch it again"),
    ],
)
def test_machine_that_aws_ends_at_its_launch_says_why(aws_parts, reason, words):
    aws_parts.aws.rules = build({"ends": [{"reason": reason}]})
    aws_parts.launch()
    machine = aws_parts.after(30)
    assert machine.observed is Observed.GONE
    assert machine.failure.code == "ENDED_AT_LAUNCH"
    assert f"AWS ended it at its launch: {reason}: " in machine.failure.message
    assert words in machine.failure.message
    assert machine.started is None, "it never ran, so it costs nothing"


def test_launch_without_capacity_after_it_was_accepted_says_so(aws_parts):
    aws_parts.aws.rules = build({"ends": [{"reason": "Server.InsufficientInstanceCapacity"}]})
    aws_parts.launch()
    assert aws_parts.after(30).failure.code == "CAPACITY_UNAVAILABLE"


def refuse(aws_parts, code, message, times=None):
    aws_parts.aws.fault(
        action="RunInstances", do="error", code=code, status=400, message=message, times=times
    )


def test_unknown_image_is_named_and_given_up_after_ten_minutes(aws_parts):
    refuse(aws_parts, "InvalidAMIID.NotFound", "The image id '[ami-1]' does not exist")
    with pytest.raises(Unavailable, match=r"\(InvalidAMIID.NotFound\)"):
        aws_parts.ask()
    aws_parts.aws.clock.advance(PREREQUISITE_TIMEOUT.total_seconds())
    with pytest.raises(AwsRefused, match=r"ami-1.*InvalidAMIID.NotFound") as caught:
        aws_parts.ask()
    assert "Allowed AMIs" in caught.value.remediation


def test_image_that_is_hidden_only_for_a_moment_is_asked_for_again(aws_parts):
    refuse(aws_parts, "InvalidAMIID.NotFound", "The image id '[ami-1]' does not exist", times=1)
    with pytest.raises(Unavailable):
        aws_parts.ask()
    aws_parts.launch()
    aws_parts.aws.clock.advance(PREREQUISITE_TIMEOUT.total_seconds())
    refuse(aws_parts, "InvalidAMIID.NotFound", "The image id '[ami-1]' does not exist", times=1)
    with pytest.raises(Unavailable):
        aws_parts.ask(attempt=1)


def test_image_that_allowed_amis_hides_is_not_found_with_the_setting(aws_parts):
    aws_parts.aws.rules = build({"image_owners": ["amazon"]})
    with pytest.raises(NoImage) as caught:
        aws_parts.ask()
    assert "Allowed AMIs" in caught.value.details


def test_type_that_no_zone_offers_is_not_called_a_lack_of_capacity(aws_parts):
    words = "Your requested instance type is not supported in your requested Availability Zone"
    refuse(aws_parts, "Unsupported", words)
    attempt = 0
    with pytest.raises(TypeNotOffered, match="AWS does not offer"):
        while True:
            try:
                aws_parts.ask(attempt=attempt)
            except NextAttempt:
                attempt += 1
    assert attempt > 1


def test_unsupported_configuration_is_refused_with_awss_words(aws_parts):
    refuse(aws_parts, "Unsupported", "The requested configuration is currently not supported.")
    with pytest.raises(AwsRefused, match="configuration is currently not supported"):
        aws_parts.ask()


def test_type_outside_of_the_free_plan_is_refused_with_one_that_is_in_it(aws_parts):
    aws_parts.aws.rules = build({"free_plan": True})
    with pytest.raises(NotInFreePlan) as caught:
        aws_parts.ask(instance_type="t3.medium")
    assert "--instance-type t3.small" in caught.value.remediation
    assert aws_parts.ask(key="ws_2")


def test_account_that_aws_verifies_is_waited_for(aws_parts, cloud):
    refuse(aws_parts, "PendingVerification", "Your request … is being validated", times=1)
    with pytest.raises(AccountPending):
        aws_parts.ask()
    assert "still verifying the account" in cloud.pending.reason()
    assert aws_parts.ask()


def test_denial_by_an_organization_is_not_thrown_away(aws_parts):
    aws_parts.prepare()
    aws_parts.aws.rules = build({"organization": ["ec2:RunInstances"]})
    with pytest.raises(AwsDenied, match="a service control policy denies it") as caught:
        aws_parts.ask()
    assert "AWS organization" in caught.value.remediation
