"""Ten minutes in which AWS answers no call; requests are carried out once after it."""

from collections import Counter

import pytest

from tests.recovery.conftest import Operator
from tests.recovery.test_generation_aws import AwsWorld

MINUTES = 10
WAYS = ("error", "drop")


@pytest.fixture
def world(aws_with_short_dial, tmp_path):
    world = AwsWorld(aws_with_short_dial, tmp_path, Operator)
    yield world
    world.end()


@pytest.mark.timeout(900)
@pytest.mark.slow
@pytest.mark.parametrize("do", WAYS)
def test_requests_are_carried_out_once_after_an_aws_outage_of_ten_minutes(world, do):
    world.start().launch("runs")
    world.launch("stops")
    world.make_volume()
    rules = world.aws.rules
    world.aws.fault(action="*", do=do, times=None)
    calls = len(world.aws.calls)
    world.desk.post("instances/stops/stop", 200)
    world.desk.post("instances/launch", name="later", template="Plain Shell", size="S")
    world.desk.post("storage/volumes/data/attach", instance="runs")
    for _ in range(2 * MINUTES):
        world.settle(seconds=30)
        current = world.desk.states()
        assert current["runs"] == "running", "an invisible machine counts as gone"
        assert current["stops"] in {"running", "stopping"}
    tried = Counter(call.action for call in world.aws.calls[calls:])
    assert sum(tried.values()) < 400, tried
    assert world.volume()["state"] != "error"
    world.aws.rules = rules
    states = {"runs": "running", "stops": "stopped"}

    def so():
        now = world.desk.states()
        return {name: now.get(name) for name in states} == states

    world.until(so)
    if "later" in world.desk.states():  # the launch was accepted during the outage
        world.until(lambda: world.desk.states()["later"] == "running")
    machines = Counter(machine["tags"].get("prism:id") for machine in world.aws.machines())
    assert set(machines.values()) == {1}
    assert len(machines) == len(world.desk.states())
    world.until(lambda: world.attached(world.volume()["volume_id"]))
