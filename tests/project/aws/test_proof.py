"""The script for the first real account, run against the double: it passes and leaves nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from aws_double.double import AwsDouble
from aws_double.rulebook import build
from prism.providers.aws.account.policy import policy
from prism.providers.aws.account.setup import apply
from prism.providers.aws.api.actions import SETUP_ACTIONS
from prism.providers.aws.api.cloud import Cloud
from tests.waiting import eventually

SCRIPT = Path(__file__).parents[3] / "scripts" / "aws" / "aws_proof.py"
REGION = "us-west-2"
POINTS = ["who", "launch", "sleep_and_wake", "spot_powers_off", "volume", "shared", "copy", "left"]


@pytest.fixture
def aws(monkeypatch, tmp_path):
    with AwsDouble(seed=7) as double:
        double.rules = build({"times": {"boot": 0.5}})
        for name, value in double.environ(REGION).items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, "/nonexistent")
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.setenv("TMPDIR", str(tmp_path))  # where it keeps its home
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # where it notes its run
        yield double
    left = daemons_of(tmp_path)
    for id in left:
        os.kill(int(id), signal.SIGTERM)
    assert left == [], "the proof must stop its daemon"


def daemons_of(folder):
    """The ids of processes whose home is in this folder."""
    home, daemons = f"PRISM_HOME={folder}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            daemons += [path.parent.name] if home in path.read_bytes() else []
    return daemons


def run_script(name, *words):
    command = [sys.executable, SCRIPT.with_name(f"aws_proof_{name}.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


def resources(aws, region=REGION):
    """All that is left in the account: machines that live, storage, groups, keys, requests."""
    ec2, efs = boto3.client("ec2", region), boto3.client("efs", region)
    aws.clock.advance(10)  # EC2 shows for a while what is gone
    groups = ec2.describe_security_groups()["SecurityGroups"]
    left = [group["GroupName"] for group in groups if group["GroupName"] != "default"]
    left += [pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]]
    left += [volume["VolumeId"] for volume in ec2.describe_volumes()["Volumes"]]
    snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    left += [snapshot["SnapshotId"] for snapshot in snapshots]
    left += [system["FileSystemId"] for system in efs.describe_file_systems()["FileSystems"]]
    requests = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    left += [
        request["SpotInstanceRequestId"]
        for request in requests
        if request["State"] in {"open", "active"}
    ]
    machines = aws.machines(region)
    return [*left, *(machine["id"] for machine in machines if machine["state"] != "terminated")]


def daily(aws):
    """The daily policy for every caller, also for the script itself."""
    apply(Cloud(REGION, actions=SETUP_ACTIONS, agent="prism-setup"))
    return aws.bind(policy(account="123456789012"))


def run_proof(tmp_path, *words, stdin="", region=REGION):
    out = tmp_path / "proof.json"
    command = [sys.executable, SCRIPT, "--region", region, "--out", out, "--pause", "0.2", *words]
    done = subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=900)
    return done, json.loads(out.read_text()) if out.exists() else None


SHARED_GROUP = "prism-efs"  # of all homes in the network


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("region", [REGION, "eu-central-1", "ap-south-1"])
def test_proof_passes_under_the_daily_policy_in_any_region_and_leaves_nothing(
    aws, tmp_path, region
):
    caller = daily(aws)
    done, output = run_proof(tmp_path, "--yes", "--patience", "300", region=region)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert [point["point"] for point in output["points"]] == POINTS
    assert (output["passed"], output["against"]) == (True, "the double")
    assert all(point["request_ids"] for point in output["points"])
    assert {action for action, _ in caller.denied} <= {"ec2:DescribeInstanceCreditSpecifications"}
    caller.policy = ()
    assert set(resources(aws, region)) <= {SHARED_GROUP}
    assert not list((tmp_path / "prism-proof").iterdir())
    assert run_script("report", tmp_path / "proof.json").returncode == 0
    changed = json.dumps(output | {"passed": False})
    (tmp_path / "proof.json").write_text(changed)
    assert "it was changed" in run_script("report", tmp_path / "proof.json").stdout


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_proof_reports_a_failed_point_and_terminates_all_machines(aws, tmp_path):
    aws.rules = build({"times": {"boot": 0.5}, "sleepless": "prism:name=proof-*-main"})
    done, output = run_proof(tmp_path, "--yes", "--patience", "300")
    assert done.returncode == 1
    failed = {point["point"]: point.get("why") for point in output["points"] if not point["ok"]}
    assert "its memory is lost" in failed["sleep_and_wake"]
    assert {machine["state"] for machine in aws.machines(REGION)} == {"terminated"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_proof_terminates_its_machines_and_stops_its_daemon(aws, tmp_path, how):
    aws.rules = build({"times": {"boot": 3600}})  # the proof waits for the first workspace
    command = [sys.executable, SCRIPT, "--region", REGION, "--out", tmp_path / "proof.json"]
    proof = subprocess.Popen(
        [*command, "--pause", "0.2", "--yes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        eventually(lambda: aws.machines(REGION), 120)
        assert daemons_of(tmp_path)
        proof.send_signal(how)
        output, _ = proof.communicate(timeout=300)
    finally:
        proof.kill()
        proof.wait()
    assert proof.returncode == 128 + how, output
    assert {machine["state"] for machine in aws.machines(REGION)} == {"terminated"}
    assert daemons_of(tmp_path) == []


# The state in which it is killed: a call that the double has answered so often.
STEPS = [
    ("RunInstances", 1),
    ("StopInstances", 1),
    ("RunInstances", 2),
    ("CreateVolume", 1),
    ("AttachVolume", 1),
    ("CreateFileSystem", 1),
    ("CreateSnapshot", 1),
    ("CreateVolume", 2),
    ("TerminateInstances", 1),
]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("action", "count"), STEPS)
def test_killed_proof_is_cleaned_up_under_the_daily_policy(aws, tmp_path, action, count):
    caller = daily(aws)
    command = [sys.executable, SCRIPT, "--region", REGION, "--out", tmp_path / "proof.json"]
    proof = subprocess.Popen(
        [*command, "--pause", "0.2", "--yes"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        eventually(lambda: [call.action for call in aws.calls].count(action) >= count, 240)
    finally:
        proof.kill()
        proof.wait()
    assert len(list((tmp_path / "prism-proof").iterdir())) == 1
    done = run_script("clean", "--pause", "0.2", "--patience", "200")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is left" in done.stdout
    denied = {action for action, _ in caller.denied}
    assert denied <= {"ec2:DescribeInstanceCreditSpecifications"}
    caller.policy = ()
    assert set(resources(aws)) <= {SHARED_GROUP}
    assert "No proof has left anything" in run_script("clean").stdout


def test_proof_without_credentials_or_region_ends_with_an_error(aws, tmp_path, monkeypatch):
    for words, why in (
        (("--profile", "nobody"), "could not be found"),
        (("--region", ""), "no region is known"),
    ):
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
        done, output = run_proof(tmp_path, *words)
        assert (done.returncode, why in done.stderr, output) == (1, True, None), done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_proof_makes_no_machine_without_a_yes_or_beyond_the_budget(aws, tmp_path):
    for words, stdin, why in (
        ((), "no\n", "nothing was made"),
        (("--budget", "0.01"), "", "budget"),
    ):
        done, output = run_proof(tmp_path, *words, stdin=stdin)
        assert (done.returncode, why in done.stderr, output) == (1, True, None), done.stderr
    assert aws.machines(REGION) == []
    assert not list((tmp_path / "prism-proof").iterdir())
