"""Workspaces on AWS through the API: resizing, waiting reasons and failures."""

import boto3
import pytest

from aws_double.rulebook import build
from tests.conftest import Http
from tests.providers.aws import odd_answers
from tests.providers.aws.odd_answers import described_oddly
from tests.recovery.conftest import Operator
from tests.recovery.test_generation_aws import AwsWorld


@pytest.fixture
def world(aws_with_short_dial, tmp_path):
    world = AwsWorld(aws_with_short_dial, tmp_path, Operator)
    yield world
    world.end()


@pytest.mark.parametrize("retypes", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_aws_workspace_is_resized_up_and_still_hibernates(world, retypes):
    """If EC2 refuses to change the type of an instance with hibernation, the resize fails."""
    world.start().aws.rules = build({"retypes": retypes})
    world.launch("mine")
    world.desk.post("instances/mine/stop", 200)
    world.until(lambda: world.desk.states()["mine"] == "stopped")
    before = world.desk.get("instances/mine")["instance_type"]
    world.desk.post("instances/mine/resize", 200, size="XL")
    machine = lambda: world.aws.machines("us-east-1")[0]["type"]  # noqa: E731
    if not retypes:
        world.until(lambda: world.desk.get("instances/mine")["failure"])
        instance = world.desk.get("instances/mine")
        assert (instance["instance_type"], machine()) == (before, before)
        assert f"It stays {before}" in instance["failure"]["message"]
        return
    world.until(lambda: machine() == "t3.2xlarge")
    world.desk.post("instances/mine/start", 200)
    world.until(lambda: world.desk.states()["mine"] == "running")
    world.desk.post("instances/mine/hibernate", 200)
    world.until(lambda: world.desk.states()["mine"] == "hibernated")


def test_instance_type_changed_in_the_console_changes_the_price(world):
    world.start().aws.rules = build({"retypes": True})
    world.launch("mine")
    before = world.desk.get("instances/mine")
    world.desk.post("instances/mine/stop", 200)
    world.until(lambda: world.desk.states()["mine"] == "stopped")
    ec2, id = boto3.client("ec2"), before["id"]
    ec2.modify_instance_attribute(InstanceId=id, InstanceType={"Value": "t3.2xlarge"})
    ec2.start_instances(InstanceIds=[id])
    world.until(lambda: world.desk.get("instances/mine")["instance_type"] == "t3.2xlarge")
    assert world.desk.get("instances/mine")["hourly_rate"] > before["hourly_rate"]
    assert world.aws.machines("us-east-1")[0]["type"] == "t3.2xlarge"


def test_unanswered_launch_reports_the_waiting_reason_until_it_succeeds(world):
    rules = world.start().aws.rules
    world.settle(2)
    world.aws.fault(action="RunInstances", do="drop", times=None)
    answer = Http(world.daemon.app).launch("mine", size="S", template="Plain Shell")
    assert answer.status_code == 201, answer.text
    world.until(lambda: any(call.action == "RunInstances" for call in world.aws.calls))
    [listed] = world.desk.get("instances")
    instance = world.desk.get("instances/mine")
    assert listed["waiting"] == instance["waiting"]
    assert instance["waiting"].startswith("AWS has not answered ec2:RunInstances since ")
    world.aws.rules = rules
    world.until(lambda: world.desk.states()["mine"] == "running")
    assert world.desk.get("instances/mine")["waiting"] is None


def test_undocumented_instance_state_is_reported_and_delays_no_other_machine(world):
    world.start()
    for name in ("odd", "other"):
        world.launch(name)
    odd = world.desk.get("instances/odd")["id"]
    with described_oddly(odd, odd_answers.new_state):
        world.desk.post("instances/other/stop", 200)
        world.desk.post("instances/odd/stop", 200)
        world.until(lambda: world.desk.states()["other"] == "stopped")
        world.settle(3, seconds=60)
        status = world.desk.get("daemon/status")
        assert status["status"] == "degraded"
        assert [odd in reason for reason in status["reasons"]] == [True]
        instance = world.desk.get("instances/odd")
        assert instance["state"] == "stopping"
        assert odd in instance["waiting"]
        assert [orphan for orphan in world.desk.orphans() if orphan["id"] == odd] == []
    world.until(lambda: world.desk.states()["odd"] == "stopped")
    assert world.desk.get("daemon/status")["reasons"] == []
    assert len(world.aws.machines("us-east-1")) == 2


MARKETPLACE = (
    "In order to use this AWS Marketplace product you need to accept terms and subscribe."
)
FOREIGN = "Not authorized for images: [ami-0123456789abcdef0]"


@pytest.mark.parametrize(
    ("aws_code", "message", "code", "words"),
    [
        ("OptInRequired", MARKETPLACE, "MARKETPLACE_TERMS", "AWS Marketplace whose terms"),
        pytest.param(
            *("OptInRequired", "You are not subscribed.", "AWS_NOT_SUBSCRIBED", "not signed up"),
            marks=pytest.mark.slow,
        ),
        (
            "AuthFailure",
            FOREIGN,
            "IMAGE_NOT_AUTHORIZED",
            "may not launch machines from that image",
        ),
    ],
)
def test_launch_fails_with_the_specific_reason_of_the_account(
    world, aws_code, message, code, words
):
    """Each reason has its own code and remedy."""
    error = {"code": aws_code, "message": message, "status": 400, "times": None}
    world.start().aws.fault(action="RunInstances", do="error", **error)
    answer = Http(world.daemon.app).launch("mine", size="S", template="Plain Shell")
    assert answer.status_code == 201, answer.text
    world.until(lambda: world.desk.states()["mine"] == "failed")
    failure = world.desk.get("instances/mine")["failure"]
    assert (failure["code"], words in failure["message"]) == (code, True), failure
    assert world.aws.machines("us-east-1") == []
