"""How a machine is entered."""

import pytest

from prism.providers.aws.ssh.hosts import AwsHosts
from prism.providers.aws.ssh.model import MachineUnreachable
from tests.optional import not_none
from tests.providers.aws.place import AwsParts


@pytest.fixture
def place(stopped, cloud, tmp_path):
    return AwsParts(stopped, cloud, tmp_path)


def test_one_that_is_on_is_entered_with_its_own_key_as_its_own_user(place, tmp_path):
    id = place.on()
    host = not_none(AwsHosts(place.instances, tmp_path).host(id))
    assert (host.id, host.workspace, host.name) == (id, "ws_1", "mine")
    assert (host.address, host.user) == (place.look().public_ip, "ubuntu")
    assert host.key == place.prerequisites.key().private_path
    assert host.boot == place.instances.known(id).boot


def test_who_was_seen_on_is_not_asked_about_again(place, tmp_path):
    id = place.on()
    before = len(place.calls())
    AwsHosts(place.instances, tmp_path).host(id)
    assert len(place.calls()) == before


def test_another_start_is_another_boot_at_another_address(place, tmp_path):
    id, hosts = place.on(), AwsHosts(place.instances, tmp_path)
    before = not_none(hosts.host(id))
    place.compute.stop(id)
    place.goes()
    assert hosts.host(id) is None
    place.compute.start(id)
    place.aws.clock.advance(5)
    after = not_none(hosts.host(id))
    assert after.address != before.address
    assert after.boot != before.boot


def test_nobody_enters_what_is_not_there(place, tmp_path):
    assert AwsHosts(place.instances, tmp_path).host("i-0123456789abcdef0") is None


def test_a_key_that_is_on_another_computer_is_said_and_none_is_made(place, tmp_path):
    id, elsewhere = place.on(), tmp_path / "elsewhere"
    with pytest.raises(MachineUnreachable, match="not on this computer"):
        AwsHosts(place.instances, elsewhere).host(id)
    assert not elsewhere.exists()
