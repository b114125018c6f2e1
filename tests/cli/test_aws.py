"""AWS, for people: who one is there, and what is missing."""

import json
from typing import Any

import pytest

FINE: dict[str, Any] = {
    "profile": "lab",
    "aws_profile": None,
    "region": "us-west-2",
    "account": "123456789012",
    "identity": "arn:aws:iam::123456789012:user/ada",
    "how": "simulated",
    "missing": [],
    "unknown": [],
    "note": None,
    "problem": None,
    "remediation": None,
}
CHECK = "GET /daemon/aws"


def test_who_one_is(prism, server):
    server.on(CHECK, [FINE])
    done = prism("aws", "check")
    assert done.returncode == 0
    assert "identity  arn:aws:iam::123456789012:user/ada\n" in done.stdout
    assert "missing   nothing\n" in done.stdout


def test_what_is_missing_is_a_failure(prism, server):
    server.on(CHECK, [FINE | {"missing": ["ec2:RunInstances"], "unknown": ["ec2:StopInstances"]}])
    done = prism("aws", "check")
    assert done.returncode == 1
    assert "missing    ec2:RunInstances\n" in done.stdout
    assert "not known  ec2:StopInstances\n" in done.stdout
    assert "prism aws policy" in done.stderr
    assert json.loads(prism("aws", "check", "--json").stdout)[0]["missing"]


def test_a_profile_that_leads_nowhere(prism, server):
    why = {"problem": "The daemon has no AWS credentials.", "remediation": "Use `aws login`"}
    server.on(f"{CHECK}?profile=my%20lab", [FINE | {"account": None} | why])
    done = prism("aws", "check", "my lab")
    assert (done.returncode, "Use `aws login`" in done.stderr) == (1, True)
    assert "no AWS credentials" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [((), "No AWS profile is active"), (("local",), "local is not an AWS profile")],
)
def test_nothing_to_say(prism, server, words, message):
    server.on(CHECK if not words else f"{CHECK}?profile=local", [])
    done = prism("aws", "check", *words)
    assert (done.returncode, message in done.stderr, done.stdout) == (0, True, "")


def test_what_machines_lack_is_said_and_is_no_failure(prism, server):
    server.on(
        CHECK, [FINE | {"note": "there is no role for machines; make it: `prism aws setup`"}]
    )
    done = prism("aws", "check")
    assert (done.returncode, "prism aws setup" in done.stdout) == (0, True)


STEPS = [{"what": "role prism-machine-1", "done": False}, {"what": "its rights", "done": True}]
SET_UP = {"account": "123456789012", "identity": "arn:aws:iam::1:user/root", "steps": STEPS}


def test_a_dry_setup_says_what_it_would_make(prism, server):
    server.on("POST /daemon/aws/setup", SET_UP)
    done = prism("aws", "setup", "lab", "--aws-profile", "admin", "--dry-run")
    assert "would be made: role prism-machine-1\nis there: its rights\n" in done.stdout
    setup_request = {"profile": "lab", "aws_profile": "admin", "dry_run": True}
    assert server.asked[-1].body == setup_request
    assert "without --dry-run" in done.stderr


@pytest.mark.parametrize("tool", ["cloudformation", "terraform"])
def test_the_setup_is_printed_for_other_tools(prism, server, tool):
    server.on(f"GET /daemon/aws/setup?format={tool}", {"text": "A:\n  b: \x1b[31mc\n"})
    assert prism("aws", "setup", "--format", tool).stdout == "A:\n  b:  [31mc\n"


def test_the_setups_own_policy_is_printed_too(prism, server):
    server.on("GET /daemon/aws/policy?kind=setup", {"Version": "2012-10-17"})
    assert json.loads(prism("aws", "policy", "--setup").stdout) == {"Version": "2012-10-17"}


def test_the_policy_is_printed_for_iam(prism, server):
    policy = {"Version": "2012-10-17", "Statement": []}
    server.on("GET /daemon/aws/policy", policy)
    assert json.loads(prism("aws", "policy").stdout) == policy


def test_the_daemons_status_names_a_place_that_is_away(prism, server):
    place = {"place": "aws:1:us-west-2", "provider": "aws", "problem": "ExpiredToken"}
    status = dict.fromkeys(("status", "version", "uptime", "aws_connectivity"), "x")
    counts = dict.fromkeys(("active_profiles", "total_instances", "active_instances"), 1)
    server.on("GET /daemon/status", status | counts | {"places": [place]})
    assert "away: aws:1:us-west-2  ExpiredToken\n" in prism("daemon", "status").stdout


def test_the_daemons_status_names_what_it_may_not(prism, server):
    place = {"place": "aws:1:us-west-2", "provider": "aws", "problem": None}
    status = dict.fromkeys(("status", "version", "uptime", "aws_connectivity"), "x")
    counts = dict.fromkeys(("active_profiles", "total_instances", "active_instances"), 1)
    places = [{**place, "missing": ["ec2:RunInstances"]}, {**place, "missing": None}]
    server.on("GET /daemon/status", status | counts | {"places": places})
    done = prism("daemon", "status")
    assert "missing: aws:1:us-west-2  ec2:RunInstances\n" in done.stdout
    assert "prism aws policy" in done.stdout + done.stderr
