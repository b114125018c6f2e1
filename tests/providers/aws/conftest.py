"""What the provider asks of the double of AWS, and with what it asks."""

import pytest

from prism.providers.aws.api.cloud import Cloud
from tests.providers.aws.place import Place
from tests.providers.aws.ssh_machine import Seat, Service, Sshd


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


@pytest.fixture
def somebody(aws):
    """Somebody else in the account, whom Prism's policy does not bind."""
    return Cloud("us-east-1", clock=aws.clock, sleep=lambda _: None, agent="somebody")


@pytest.fixture
def place(stopped, cloud, tmp_path):
    """An account and region that were set up, with time standing still."""
    it = Place(stopped, cloud, tmp_path)
    it.set_up()
    return it


@pytest.fixture
def sshd(tmp_path):
    """A machine that can be entered by SSH."""
    it = Sshd(tmp_path / "machine")
    it.start()
    yield it
    it.stop()


@pytest.fixture
def seat(tmp_path, sshd):
    """A daemon's connections to it."""
    it = Seat(tmp_path / "home", sshd)
    yield it
    it.close()


@pytest.fixture
def service():
    """Something that listens on loopback."""
    it = Service("the lab")
    yield it
    it.close()
