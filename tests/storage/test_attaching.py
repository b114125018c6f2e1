"""On AWS, a volume that is still attaching may get its file system just now: a snapshot waits."""

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
        pytest.param(False, id="asked", marks=pytest.mark.slow),
        pytest.param(True, id="shown by EC2"),
    ],
)
def test_a_snapshot_of_a_volume_that_is_still_attaching_waits(world, monkeypatch, attached):
    world.start().launch("one")
    world.make_volume()
    world.desk.post("storage/volumes/data/attach", 200, instance="one")
    if attached:  # and no program on the machine has formatted or mounted it
        world.until(lambda: world.attached(world.volume()["volume_id"]))
    world.desk.post("snapshots", 201, name="early", volume="data")
    world.settle(times=10)
    assert taken(world) == []
    assert world.desk.get("snapshots/early")["state"] == "pending"
    mounted = []

    def obey(pool, id, script, stdin=b"", seconds=0.0):
        output = machines.run(pool, id, script)
        mounted.append((script, len(taken(world))))
        return output

    monkeypatch.setattr(SshPool, "run", obey)
    world.until(lambda: world.desk.get("snapshots/early")["state"] == "completed")
    assert world.volume()["attached_instance"] == "one"
    shows = [many for script, many in mounted if " disk " in script]
    assert shows[0] == 0, "it was mounted before the snapshot was taken"
    assert len(taken(world)) == 1


def taken(world):
    return [call for call in world.aws.calls if call.action == "CreateSnapshot"]
