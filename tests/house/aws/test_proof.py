"""The script for the first real account, against the double: all passes, nothing is left."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aws_double.double import AwsDouble
from aws_double.rulebook import build
from prism.providers.aws.account_setup import apply
from prism.providers.aws.actions import SETUP_ACTIONS
from prism.providers.aws.cloud import Cloud
from prism.providers.aws.policy import policy

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


def proved(tmp_path, *words, stdin=""):
    out = tmp_path / "proof.json"
    command = [sys.executable, SCRIPT, "--region", REGION, "--out", out, "--pause", "0.2", *words]
    done = subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=900)
    return done, json.loads(out.read_text()) if out.exists() else None


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_every_point_passes_under_the_daily_policy_and_nothing_is_left(aws, tmp_path):
    apply(Cloud(REGION, actions=SETUP_ACTIONS, agent="prism-setup"))
    caller = aws.bind(policy(account="123456789012"), "prism")
    done, said = proved(tmp_path, "--yes", "--patience", "300")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [it["point"] for it in said["points"]] == POINTS
    assert (said["passed"], said["against"]) == (True, "the double")
    assert all(it["request_ids"] for it in said["points"])
    assert caller.denied == []
    assert {it["state"] for it in aws.machines(REGION)} == {"terminated"}


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_a_point_that_fails_is_written_down_and_everything_is_destroyed(aws, tmp_path):
    aws.rules = build({"times": {"boot": 0.5}, "sleepless": "prism:name=proof-main"})
    done, said = proved(tmp_path, "--yes", "--patience", "300")
    assert done.returncode == 1
    failed = {it["point"]: it.get("why") for it in said["points"] if not it["ok"]}
    assert "its memory is lost" in failed["sleep_and_wake"]
    assert {it["state"] for it in aws.machines(REGION)} == {"terminated"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_made_without_a_yes_or_beyond_the_budget(aws, tmp_path):
    for words, stdin, why in (
        ((), "no\n", "nothing was made"),
        (("--budget", "0.01"), "", "budget"),
    ):
        done, said = proved(tmp_path, *words, stdin=stdin)
        assert (done.returncode, why in done.stderr, said) == (1, True, None)
    assert aws.machines(REGION) == []
