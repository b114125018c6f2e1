"""The prerequisites of one profile, which ask the double."""

from datetime import UTC, datetime

import pytest

from aws_double.rulebook import build
from prism.kit.clock import StoppedClock
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.prerequisites.launch import AwsLaunchPrerequisites

CIDR = "203.0.113.7/32"


@pytest.fixture
def ground_clock():
    return StoppedClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def consistent(aws):
    """What is tested here is what is asked for; waiting for EC2 to show it is the launch's."""
    aws.rules = build({"like": "consistent"})


@pytest.fixture
def cloud(aws):
    return Cloud("us-east-1", sleep=lambda _: None)


@pytest.fixture
def make_ground(cloud, consistent, tmp_path, ground_clock):
    def make(profile="lab", home=tmp_path, caller=lambda: CIDR):
        return AwsLaunchPrerequisites(cloud, home, profile, caller=caller, clock=ground_clock)

    return make


@pytest.fixture
def prerequisites(make_ground):
    return make_ground()


@pytest.fixture
def counted(aws):
    """How often an action was called since the reset."""
    return lambda action: sum(it.action == action for it in aws.calls)
