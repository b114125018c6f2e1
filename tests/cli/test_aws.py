"""AWS, for people: who one is there, and what is missing."""

import json

import pytest

FINE = {
    "profile": "lab",
    "aws_profile": None,
    "region": "us-west-2",
    "account": "123456789012",
    "identity": "arn:aws:iam::123456789012:user/ada",
    "how": "simulated",
    "missing": [],
    "unknown": [],
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
    ("words", "said"), [((), "No aws profile is active"), (("local",), "local is no aws profile")]
)
def test_nothing_to_say(prism, server, words, said):
    server.on(CHECK if not words else f"{CHECK}?profile=local", [])
    done = prism("aws", "check", *words)
    assert (done.returncode, said in done.stderr, done.stdout) == (0, True, "")


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
    there = [{**place, "missing": ["ec2:RunInstances"]}, {**place, "missing": None}]
    server.on("GET /daemon/status", status | counts | {"places": there})
    done = prism("daemon", "status")
    assert "missing: aws:1:us-west-2  ec2:RunInstances\n" in done.stdout
    assert "prism aws policy" in done.stdout + done.stderr
