"""A double for the session, and a ground of one profile that asks it."""

from datetime import UTC, datetime

import pytest

from aws_double.double import AwsDouble
from prism.kit.clock import StoppedClock
from prism.providers.aws.cloud import Cloud
from prism.providers.aws.ground.ground import Ground

CIDR = "203.0.113.7/32"


@pytest.fixture(scope="session")
def running_double():
    with AwsDouble(seed=7) as double:
        yield double


@pytest.fixture
def aws(running_double, monkeypatch):
    running_double.reset()
    for name, value in running_double.environ().items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    return running_double


@pytest.fixture
def ground_clock():
    return StoppedClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def cloud(aws):
    return Cloud("us-east-1", sleep=lambda _: None)


@pytest.fixture
def make_ground(cloud, tmp_path, ground_clock):
    def make(profile="lab", home=tmp_path, caller=lambda: CIDR):
        return Ground(cloud, home, profile, caller=caller, clock=ground_clock)

    return make


@pytest.fixture
def ground(make_ground):
    return make_ground()


@pytest.fixture
def counted(aws):
    """How often an action was called since the reset."""
    return lambda action: sum(it.action == action for it in aws.calls)
