"""The whole life of a workspace on AWS, by the real command line and daemon, over the double."""

import json
from functools import partial

import pytest

from aws_double.double import AwsDouble
from aws_double.rulebook import build
from prism.providers.aws.account.policy import policy
from tests.aws_double.boto import client
from tests.project.home import Home
from tests.waiting import eventually

REGION, TEMPLATE = "us-west-2", "Plain Shell"


@pytest.fixture
def aws():
    with AwsDouble(seed=7) as double:
        double.rules = build({"times": {"boot": 0.5}})
        yield double


@pytest.fixture
def bound_policy(aws):
    """The daily policy, applied to the calls of Prism."""
    return aws.bind(policy(account="123456789012"), "prism")


@pytest.fixture
def home(tmp_path, aws, bound_policy):
    home = Home(tmp_path / "home")
    nowhere = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    without = {k: v for k, v in home.environ.items() if not k.startswith("AWS_")}
    home.environ = without | aws.environ(REGION) | nowhere
    yield home
    home.clear()


def use_aws_profile(home):
    home.cli_json("profile", "create", "lab", "--provider", "aws", "--region", REGION)
    home.cli_json("profile", "switch", "lab")


def machine(aws):
    [machine] = aws.machines(REGION)
    return machine


def called(aws):
    return [call.action for call in aws.calls]


@pytest.mark.timeout(280)
def test_workspace_on_aws_runs_every_verb_without_a_denied_call(home, aws, bound_policy):
    with home.run_daemon():
        home.cli_json("list")
        home.cli_json("profile", "create", "lab", "--provider", "aws", "--region", REGION)
        assert home.cli_json("daemon", "status")["aws_connectivity"] == "disconnected"
        assert aws.calls == [], "AWS is not called before an aws profile is used"

        home.cli_json("profile", "switch", "lab")
        plan = home.cli_json("launch", TEMPLATE, "mine", "--dry-run")
        assert (plan["instance_type"], plan["hourly"]) == ("t3.small", 0.0208)
        assert plan["image"].startswith("ssm:/aws/service/canonical/")
        assert aws.machines(REGION) == [] and "RunInstances" not in called(aws)
        eventually(lambda: home.cli_json("daemon", "status")["aws_connectivity"] == "connected")

        launched = home.cli_json("launch", TEMPLATE, "mine", "--ttl", "8")
        assert (launched["state"], launched["id"]) == ("running", machine(aws)["id"])
        [listed] = home.cli_json("list")
        assert (listed["region"], listed["profile"], listed["public_ip"] is None) == (
            REGION,
            "lab",
            False,
        )
        tags = machine(aws)["tags"]
        assert (tags["Name"], tags["prism:profile"], tags["prism:ttl"]) == (
            "mine",
            "lab",
            "8h0m0s",
        )

        home.cli_json("profile", "switch", "local")
        for verb, state in (("stop", "stopped"), ("start", "running"), ("hibernate", "hibernated"),
                            ("resume", "running")):  # fmt: skip
            home.cli_json(verb, "mine")
            eventually(partial(is_all, home, state), 120)
        assert machine(aws)["state"] == "running", "it runs on although another profile is active"
        check_managed_tags(aws)

        home.cli_json("terminate", "mine", "--yes")
        eventually(lambda: home.states() == ["terminated"], 120)
        assert machine(aws)["state"] == "terminated"
    check_no_denied_call(bound_policy)


def is_all(home, state):
    return home.states() == [state]


def check_managed_tags(aws):
    """Each resource has the managed tag, without which the daily policy allows no change."""
    ec2 = client(aws, "ec2", REGION)
    resources = [
        *(each for r in ec2.describe_instances()["Reservations"] for each in r["Instances"]),
        *ec2.describe_volumes()["Volumes"],
        *ec2.describe_key_pairs()["KeyPairs"],
        *(securitygroup for securitygroup in ec2.describe_security_groups()["SecurityGroups"]
          if securitygroup["GroupName"] != "default"),
    ]  # fmt: skip
    assert len(resources) == 4
    for resource in resources:
        assert {"Key": "prism:managed", "Value": "true"} in resource["Tags"], resource


def check_no_denied_call(bound):
    """No call was denied, of a user who has the printed daily policy and nothing else."""
    assert bound.used, "the policy was not applied"
    assert bound.denied == []


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_restarted_daemon_continues_with_its_machines(home, aws):
    with home.run_daemon():
        use_aws_profile(home)
        home.cli_json("launch", TEMPLATE, "mine")
        home.cli_json("profile", "switch", "local")
    id = machine(aws)["id"]
    aws.power_off(id)
    with home.run_daemon():
        eventually(lambda: home.states() == ["stopped"], 120)
        home.cli_json("start", "mine")
        eventually(lambda: home.states() == ["running"], 120)
    assert machine(aws)["id"] == id


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_rejected_credentials_are_reported_until_they_are_accepted(home, aws):
    aws.rules = build({"faults": [{"action": "GetCallerIdentity", "do": "error", "status": 403,
                                   "code": "InvalidClientTokenId", "times": None}]})  # fmt: skip
    with home.run_daemon():
        use_aws_profile(home)
        refused = home.cli("launch", TEMPLATE, "mine")
        assert (refused.returncode, "does not accept the credentials" in refused.stderr) == (
            1,
            True,
        )
        assert "prism doctor" in refused.stderr
        status = eventually(lambda: troubled(home.cli_json("daemon", "status")))
        assert (status["status"], status["aws_connectivity"]) == ("degraded", "disconnected")
        checks = json.loads(home.cli("doctor", "--json").stdout)
        [access] = [check for check in checks if check["check"] == "aws access"]
        assert (access["level"], "InvalidClientTokenId" in access["said"]) == ("broken", True)
        assert home.cli_json("list") == []

        aws.rules = build({})
        eventually(
            lambda: home.cli_json("daemon", "status")["aws_connectivity"] == "connected", 120
        )
        [access] = home.cli_json("aws", "check")
        assert (access["missing"], access["problem"]) == ([], None)


def troubled(status):
    return status if any(place["problem"] for place in status["places"]) else None
