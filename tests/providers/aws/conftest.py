"""A double of AWS for the session; every test finds it empty, obedient, and in the environment."""

import pytest

from aws_double.double import AwsDouble
from prism.providers.aws.cloud import Cloud

ENVIRONMENT = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN")
FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


@pytest.fixture(scope="session")
def running_double():
    with AwsDouble(seed=7) as double:
        yield double


@pytest.fixture
def aws(running_double, monkeypatch):
    running_double.reset()
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    for name, value in running_double.environ().items():
        monkeypatch.setenv(name, value)
    for name in FILES:
        monkeypatch.setenv(name, "/nonexistent")
    return running_double


@pytest.fixture
def stopped(aws):
    """The double with its time standing still."""
    aws.clock.stop()
    return aws


@pytest.fixture(scope="session")
def acquainted():
    """What a session has learnt of boto3, which takes a quarter of a second to learn."""
    return {}


@pytest.fixture
def cloud(aws, acquainted):
    """A cloud whose time is the double's, and which waits for nobody."""
    it = Cloud("us-east-1", clock=aws.clock, sleep=lambda _: None)
    it._clients = acquainted.setdefault(aws.url, {})
    return it
