"""Whoever waits for AWS is told so in every answer about the workspace, with the call's name."""

import pytest

from tests.conftest import Http
from tests.recovery.conftest import Desk
from tests.recovery.test_generation_aws import AwsWorld


@pytest.fixture
def world(silent, tmp_path):
    it = AwsWorld(silent, tmp_path, Desk)
    yield it
    it.end()


def test_a_launch_that_aws_does_not_answer_says_so_until_it_does(world):
    rules = world.start().aws.rules
    world.settle(2)
    world.aws.fault(action="RunInstances", do="drop", times=None)
    answer = Http(world.house.app).launch("mine", size="S", template="Plain Shell")
    assert answer.status_code == 201, answer.text
    world.until(lambda: any(it.action == "RunInstances" for it in world.aws.calls))
    [listed] = world.desk.get("instances")
    shown = world.desk.get("instances/mine")
    assert listed["waiting"] == shown["waiting"]
    assert shown["waiting"].startswith("AWS has not answered ec2:RunInstances since ")
    world.aws.rules = rules
    world.until(lambda: world.desk.states()["mine"] == "running")
    assert world.desk.get("instances/mine")["waiting"] is None
