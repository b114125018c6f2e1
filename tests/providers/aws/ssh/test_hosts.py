"""The address, user and key for SSH to a machine."""

import pytest

from prism.providers.aws.ssh.hosts import AwsHosts
from prism.providers.aws.ssh.model import MachineUnreachable
from tests.optional import not_none
from tests.providers.aws.place import AwsParts


@pytest.fixture
def aws_parts(stopped_aws, cloud, tmp_path):
    return AwsParts(stopped_aws, cloud, tmp_path)


def test_host_has_address_user_and_key_of_a_running_machine(aws_parts, tmp_path):
    id = aws_parts.on()
    host = not_none(AwsHosts(aws_parts.instances, tmp_path).host(id))
    assert (host.id, host.workspace, host.name) == (id, "ws_1", "mine")
    assert (host.address, host.user) == (aws_parts.look().public_ip, "ubuntu")
    assert host.key == aws_parts.prerequisites.key().private_path
    assert host.boot == aws_parts.instances.known(id).boot


def test_host_of_a_known_machine_makes_no_call(aws_parts, tmp_path):
    id = aws_parts.on()
    before = len(aws_parts.calls())
    AwsHosts(aws_parts.instances, tmp_path).host(id)
    assert len(aws_parts.calls()) == before


def test_host_has_another_boot_and_address_after_a_restart(aws_parts, tmp_path):
    id, hosts = aws_parts.on(), AwsHosts(aws_parts.instances, tmp_path)
    before = not_none(hosts.host(id))
    aws_parts.compute.stop(id)
    aws_parts.after()
    assert hosts.host(id) is None
    aws_parts.compute.start(id)
    aws_parts.aws.clock.advance(5)
    after = not_none(hosts.host(id))
    assert after.address != before.address
    assert after.boot != before.boot


def test_host_of_an_unknown_machine_is_none(aws_parts, tmp_path):
    assert AwsHosts(aws_parts.instances, tmp_path).host("i-0123456789abcdef0") is None


def test_missing_private_key_is_reported_and_not_created(aws_parts, tmp_path):
    id, elsewhere = aws_parts.on(), tmp_path / "elsewhere"
    with pytest.raises(MachineUnreachable, match="not on this computer"):
        AwsHosts(aws_parts.instances, elsewhere).host(id)
    assert not elsewhere.exists()
