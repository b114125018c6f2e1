"""The launch prerequisites of one profile, with the double of AWS."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aws_double.double import AwsDouble
from aws_double.rulebook import build
from prism.kit.clock import StoppedClock
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.prerequisites.launch import AwsLaunchPrerequisites

CIDR = "203.0.113.7/32"


@pytest.fixture
def prerequisites_clock() -> StoppedClock:
    return StoppedClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def consistent_aws(aws: AwsDouble) -> None:
    """EC2 shows each change at once; the tests of launches are about waiting for it."""
    aws.rules = build({"like": "consistent"})


@pytest.fixture
def cloud(aws: AwsDouble, prerequisites_clock: StoppedClock) -> Cloud:
    return Cloud("us-east-1", sleep=lambda _: None, clock=prerequisites_clock)


@pytest.fixture
def make_prerequisites(
    cloud: Cloud, consistent_aws: None, tmp_path: Path
) -> Callable[..., AwsLaunchPrerequisites]:
    def make(
        profile: str = "lab", home: Path = tmp_path, caller: Callable[[], str] = lambda: CIDR
    ) -> AwsLaunchPrerequisites:
        return AwsLaunchPrerequisites(cloud, home, profile, caller=caller)

    return make


@pytest.fixture
def prerequisites(
    make_prerequisites: Callable[..., AwsLaunchPrerequisites],
) -> AwsLaunchPrerequisites:
    return make_prerequisites()


@pytest.fixture
def count_calls(aws: AwsDouble) -> Callable[[str], int]:
    """How often an action was called since the reset."""
    return lambda action: sum(call.action == action for call in aws.calls)
