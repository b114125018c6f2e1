"""The script for the first real account, run against the double: it passes and leaves nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aws_double.double import AwsDouble
from aws_double.rulebook import build
from prism.providers.aws.account.policy import policy
from prism.providers.aws.account.setup import apply
from prism.providers.aws.api.actions import SETUP_ACTIONS
from prism.providers.aws.api.cloud import Cloud
from tests.waiting import eventually

SCRIPT = Path(__file__).parents[3] / "scripts" / "aws_proof.py"
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


def run_proof(tmp_path, *words, stdin=""):
    out = tmp_path / "proof.json"
    command = [sys.executable, SCRIPT, "--region", REGION, "--out", out, "--pause", "0.2", *words]
    done = subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=900)
    return done, json.loads(out.read_text()) if out.exists() else None


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_proof_passes_under_the_daily_policy_and_leaves_no_machine(aws, tmp_path):
    apply(Cloud(REGION, actions=SETUP_ACTIONS, agent="prism-setup"))
    caller = aws.bind(policy(account="123456789012"), "prism")
    done, output = run_proof(tmp_path, "--yes", "--patience", "300")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [point["point"] for point in output["points"]] == POINTS
    assert (output["passed"], output["against"]) == (True, "the double")
    assert all(point["request_ids"] for point in output["points"])
    assert caller.denied == []
    assert {machine["state"] for machine in aws.machines(REGION)} == {"terminated"}


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_proof_reports_a_failed_point_and_terminates_all_machines(aws, tmp_path):
    aws.rules = build({"times": {"boot": 0.5}, "sleepless": "prism:name=proof-main"})
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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_proof_makes_no_machine_without_a_yes_or_beyond_the_budget(aws, tmp_path):
    for words, stdin, why in (
        ((), "no\n", "nothing was made"),
        (("--budget", "0.01"), "", "budget"),
    ):
        done, output = run_proof(tmp_path, *words, stdin=stdin)
        assert (done.returncode, why in done.stderr, output) == (1, True, None)
    assert aws.machines(REGION) == []
