"""On AWS, a volume that is attaching may get its file system just now, so a snapshot waits."""

import pytest

from prism.providers.aws.ssh.pool import SshPool
from tests.faults import daemon as machines
from tests.recovery.conftest import Operator
from tests.recovery.test_generation_aws import AwsWorld


@pytest.fixture
def world(aws_with_short_dial, tmp_path):
    world = AwsWorld(aws_with_short_dial, tmp_path, Operator)
    yield world
    world.end()


@pytest.mark.parametrize(
    "attached",
    [
        pytest.param(False, id="requested", marks=pytest.mark.slow),
        pytest.param(True, id="shown by EC2"),
    ],
)
def test_snapshot_of_a_volume_that_is_attaching_waits(world, monkeypatch, attached):
    world.start().launch("one")
    world.make_volume()
    world.desk.post("storage/volumes/data/attach", 200, instance="one")
    if attached:  # EC2 shows it, but the machine has not formatted or mounted it
        world.until(lambda: world.attached(world.volume()["volume_id"]))
    world.desk.post("snapshots", 201, name="early", volume="data")
    world.settle(times=10)
    assert snapshot_calls(world) == []
    assert world.desk.get("snapshots/early")["state"] == "pending"
    mounted = []

    def run(pool, id, script, stdin=b"", seconds=0.0):
        output = machines.run(pool, id, script)
        mounted.append((script, len(snapshot_calls(world))))
        return output

    monkeypatch.setattr(SshPool, "run", run)
    world.until(lambda: world.desk.get("snapshots/early")["state"] == "completed")
    assert world.volume()["attached_instance"] == "one"
    shows = [many for script, many in mounted if " disk " in script]
    assert shows[0] == 0, "the volume was mounted before the snapshot was taken"
    assert len(snapshot_calls(world)) == 1


def snapshot_calls(world):
    return [call for call in world.aws.calls if call.action == "CreateSnapshot"]
