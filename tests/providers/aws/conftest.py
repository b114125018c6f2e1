"""A double of AWS for the session; every test finds it empty, obedient, and in the environment."""

import pytest

from aws_double.double import AwsDouble


@pytest.fixture(scope="session")
def running_double():
    with AwsDouble(seed=7) as double:
        yield double


@pytest.fixture
def aws(running_double, monkeypatch):
    running_double.reset()
    for name, value in running_double.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    return running_double
