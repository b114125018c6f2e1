"""What the provider asks of the double of AWS, and with what it asks."""

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
    """What a session has learnt of boto3, which takes a quarter of a second to learn."""
    return {}


@pytest.fixture
def cloud(aws: AwsDouble, boto_clients: dict[str, Any]) -> Cloud:
    """A cloud whose time is the double's, and which waits for nobody."""
    cloud = Cloud("us-east-1", clock=aws.clock, sleep=lambda _: None)
    cloud._clients = boto_clients.setdefault(aws.url, {})
    return cloud


@pytest.fixture
def other_user(aws: AwsDouble) -> Cloud:
    """Somebody else in the account, whom Prism's policy does not bind."""
    return Cloud("us-east-1", clock=aws.clock, sleep=lambda _: None, agent="somebody")


@pytest.fixture
def aws_parts(stopped_aws: AwsDouble, cloud: Cloud, tmp_path: Path) -> AwsParts:
    """An account and region that were set up, with time standing still."""
    parts = AwsParts(stopped_aws, cloud, tmp_path)
    parts.set_up()
    return parts


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A machine that can be entered by SSH."""
    sshd = Sshd(tmp_path / "machine")
    sshd.start()
    yield sshd
    sshd.stop()


@pytest.fixture
def machine_pool(tmp_path: Path, sshd: Sshd) -> Iterator[PoolOfOneMachine]:
    """A daemon's connections to it."""
    machine = PoolOfOneMachine(tmp_path / "home", sshd)
    yield machine
    machine.close()


@pytest.fixture
def service() -> Iterator[Service]:
    """Something that listens on loopback."""
    service = Service("the lab")
    yield service
    service.close()
