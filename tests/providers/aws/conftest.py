"""Fixtures of the AWS provider over the double of AWS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_double.double import AwsDouble
from prism.providers.aws.api.cloud import Cloud
from tests.providers.aws.place import AwsParts
from tests.providers.aws.ssh_machine import PoolOfOneMachine, Service, Sshd


@pytest.fixture(scope="session")
def boto_clients() -> dict[str, Any]:
    """The boto3 clients of the session; making them takes a quarter of a second."""
    return {}


@pytest.fixture
def cloud(aws: AwsDouble, boto_clients: dict[str, Any]) -> Cloud:
    """A cloud with the clock of the double, which never sleeps."""
    cloud = Cloud("us-east-1", clock=aws.clock, sleep=lambda _: None)
    cloud._clients = boto_clients.setdefault(aws.url, {})
    cloud._chain = boto_clients.setdefault(f"chain of {aws.url}", cloud._credential_chain())
    return cloud


@pytest.fixture
def other_user(aws: AwsDouble) -> Cloud:
    """Another user of the account, to whom Prism's policy does not apply."""
    return Cloud("us-east-1", clock=aws.clock, sleep=lambda _: None, agent="somebody")


@pytest.fixture
def aws_parts(stopped_aws: AwsDouble, cloud: Cloud, tmp_path: Path) -> AwsParts:
    """An account and region that are set up, with a stopped clock."""
    parts = AwsParts(stopped_aws, cloud, tmp_path)
    parts.set_up()
    return parts


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A machine with an SSH server."""
    sshd = Sshd(tmp_path / "machine")
    sshd.start()
    yield sshd
    sshd.stop()


@pytest.fixture
def machine_pool(tmp_path: Path, sshd: Sshd) -> Iterator[PoolOfOneMachine]:
    """The SSH connections of a daemon to this machine."""
    machine = PoolOfOneMachine(tmp_path / "home", sshd)
    yield machine
    machine.close()


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that listens on loopback."""
    service = Service("the lab")
    yield service
    service.close()
