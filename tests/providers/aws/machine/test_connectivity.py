"""How a survey changes the connectivity of machines."""

from datetime import UTC, datetime

import pytest

from prism.errors import Unavailable
from prism.providers.aws.compute.console import Console
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.compute.survey import InstanceCache
from prism.providers.aws.machine.connectivity import AwsConnectivity
from tests.providers.aws.ssh_machine import ID, FakeConsoleCloud, keypair

LAUNCHED = datetime(2026, 1, 1, tzinfo=UTC)


class CountingInstanceCache(InstanceCache):
    """A cache that records its calls."""

    def __init__(self):
        self.asked: list[str] = []

    def known(self, id):
        self.asked.append(id)

    def look(self, id):
        self.asked.append(id)


def instance(state, id=ID):
    return Ec2Instance(
        id=id, key="ws_1", state=state, type="t3.small", zone="z", launched=LAUNCHED
    )


@pytest.fixture
def instances():
    return CountingInstanceCache()


@pytest.fixture
def fake_console():
    return FakeConsoleCloud()


@pytest.fixture
def connectivity(tmp_path, instances, fake_console):
    connectivity = AwsConnectivity(instances, Console(fake_console), tmp_path)
    yield connectivity
    connectivity.close()


def test_survey_of_many_machines_makes_no_call(connectivity, instances, fake_console):
    connectivity.look([instance("running", f"i-{n:017x}") for n in range(1000)])
    assert instances.asked == []
    assert fake_console.asked == []


def test_host_key_of_a_terminated_machine_is_removed(connectivity, tmp_path):
    key = keypair(tmp_path / "host")
    connectivity.keys.learn(ID, f"prism-boot: hostkey {key}\n")
    connectivity.look([instance("stopped")])
    assert connectivity.keys.known(ID) == key
    connectivity.look([instance("shutting-down")])
    assert connectivity.keys.known(ID) is None
    assert not connectivity.keys.file(ID).exists()


def test_machine_that_is_not_on_is_unavailable(connectivity):
    with pytest.raises(Unavailable, match="not on"):
        connectivity.access(ID)
    with pytest.raises(Unavailable, match="not on"):
        connectivity.address_of(ID, 8888)
    assert connectivity.idle(ID) is None
