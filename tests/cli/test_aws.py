"""`prism aws`: the identity, missing permissions, the setup and the policy."""

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
    "reasons": [],
    "checks": [],
    "unknown": [],
    "note": None,
    "problem": None,
    "remediation": None,
}
CHECK = "GET /daemon/aws"


def test_aws_check_prints_the_identity(prism, server):
    server.on(CHECK, [FINE])
    done = prism("aws", "check")
    assert done.returncode == 0
    assert "identity  arn:aws:iam::123456789012:user/ada\n" in done.stdout
    assert "missing   nothing\n" in done.stdout


def test_aws_check_fails_if_a_permission_is_missing(prism, server):
    lacks: dict[str, Any] = {"missing": ["ec2:RunInstances"], "unknown": ["ec2:StopInstances"]}
    lacks |= {"reasons": ["ec2:RunInstances: no policy allows it"]}
    server.on(CHECK, [FINE | lacks | {"remediation": "Attach what `prism aws policy` prints"}])
    done = prism("aws", "check")
    assert done.returncode == 1
    assert "missing    ec2:RunInstances\n" in done.stdout
    assert "not known  ec2:StopInstances\n" in done.stdout
    assert "prism aws policy" in done.stderr
    assert "why        ec2:RunInstances: no policy allows it\n" in done.stdout
    assert json.loads(prism("aws", "check", "--json").stdout)[0]["missing"]


def test_aws_check_gives_the_hint_that_fits(prism, server):
    """The policy that Prism prints does not help against an organization's."""
    scp = {"missing": ["ec2:RunInstances"], "remediation": "Ask who administers your organization"}
    server.on(CHECK, [FINE | scp])
    done = prism("aws", "check")
    assert "Ask who administers your organization" in done.stderr
    assert "aws policy" not in done.stderr


def test_aws_check_fails_if_a_launch_is_refused(prism, server):
    """All single permissions can be there, and a launch is denied: by its tags, its type …"""
    refused = {"name": "launch", "ok": False, "message": "a t3.medium for ada is refused: no",
               "remediation": "Attach what helps"}  # fmt: skip
    server.on(CHECK, [FINE | {"checks": [refused]}])
    done = prism("aws", "check")
    assert done.returncode == 1
    assert "launch    a t3.medium for ada is refused: no\n" in done.stdout
    assert "Attach what helps" in done.stderr
    server.on(CHECK, [FINE | {"checks": [refused | {"ok": None, "remediation": ""}]}])
    assert prism("aws", "check").returncode == 0


def test_aws_check_says_how_to_learn_what_is_not_known(prism, server):
    unknown = {"how": "tried", "unknown": ["ec2:StopInstances"], "hint": "print `--role lab`"}
    server.on(CHECK, [FINE | unknown])
    done = prism("aws", "check")
    assert (done.returncode, "not known: print `--role lab`" in done.stderr) == (0, True)


def test_aws_check_fails_if_the_profile_has_no_credentials(prism, server):
    why = {"problem": "The daemon has no AWS credentials.", "remediation": "Use `aws login`"}
    server.on(f"{CHECK}?profile=my%20lab", [FINE | {"account": None} | why])
    done = prism("aws", "check", "my lab")
    assert (done.returncode, "Use `aws login`" in done.stderr) == (1, True)
    assert "no AWS credentials" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [((), "No AWS profile is active"), (("local",), "local is not an AWS profile")],
)
def test_aws_check_without_an_aws_profile_prints_only_a_message(prism, server, words, message):
    server.on(CHECK if not words else f"{CHECK}?profile=local", [])
    done = prism("aws", "check", *words)
    assert (done.returncode, message in done.stderr, done.stdout) == (0, True, "")


def test_aws_check_prints_a_note_without_failing(prism, server):
    server.on(
        CHECK, [FINE | {"note": "there is no role for machines; make it: `prism aws setup`"}]
    )
    done = prism("aws", "check")
    assert (done.returncode, "prism aws setup" in done.stdout) == (0, True)


STEPS = [{"what": "role prism-machine-1", "done": False}, {"what": "its rights", "done": True}]
SET_UP = {"account": "123456789012", "identity": "arn:aws:iam::1:user/root", "steps": STEPS}


def test_aws_setup_dry_run_lists_the_steps(prism, server):
    server.on("POST /daemon/aws/setup", SET_UP)
    done = prism("aws", "setup", "lab", "--aws-profile", "admin", "--dry-run")
    assert "would be made: role prism-machine-1\nis there: its rights\n" in done.stdout
    setup_request = {"profile": "lab", "aws_profile": "admin", "dry_run": True}
    assert server.asked[-1].body == setup_request
    assert "without --dry-run" in done.stderr


@pytest.mark.parametrize("tool", ["cloudformation", "terraform"])
def test_aws_setup_prints_a_template_without_control_characters(prism, server, tool):
    server.on(f"GET /daemon/aws/setup?format={tool}", {"text": "A:\n  b: \x1b[31mc\n"})
    assert prism("aws", "setup", "--format", tool).stdout == "A:\n  b:  [31mc\n"


def test_aws_policy_setup_prints_the_policy_of_the_setup(prism, server):
    server.on("GET /daemon/aws/policy?kind=setup", {"Version": "2012-10-17"})
    assert json.loads(prism("aws", "policy", "--setup").stdout) == {"Version": "2012-10-17"}


def test_aws_policy_prints_the_policy_as_json(prism, server):
    policy = {"Version": "2012-10-17", "Statement": []}
    server.on("GET /daemon/aws/policy?kind=daily", policy)
    assert json.loads(prism("aws", "policy").stdout) == policy


def test_aws_policy_has_limits(prism, server):
    policy = {"Version": "2012-10-17", "Statement": []}
    limits = "own_machines=tag&role=lab&types=t3.%2A&types=c6i.large&regions=us-west-2&vpcs=vpc-1"
    server.on(f"GET /daemon/aws/policy?kind=daily&{limits}", policy)
    words = ("--types", "t3.*", "c6i.large", "--regions", "us-west-2", "--vpcs", "vpc-1")
    done = prism("aws", "policy", "--own-machines", "--role", "lab", *words)
    assert json.loads(done.stdout) == policy


def test_daemon_status_lists_an_unavailable_location(prism, server):
    place = {"place": "aws:1:us-west-2", "provider": "aws", "problem": "ExpiredToken"}
    status = dict.fromkeys(("status", "version", "uptime", "aws_connectivity"), "x")
    counts = dict.fromkeys(("active_profiles", "total_instances", "active_instances"), 1)
    server.on("GET /daemon/status", status | counts | {"places": [place]})
    assert "away: aws:1:us-west-2  ExpiredToken\n" in prism("daemon", "status").stdout


def test_daemon_status_lists_missing_permissions(prism, server):
    place = {"place": "aws:1:us-west-2", "provider": "aws", "problem": None}
    status = dict.fromkeys(("status", "version", "uptime", "aws_connectivity"), "x")
    counts = dict.fromkeys(("active_profiles", "total_instances", "active_instances"), 1)
    places = [{**place, "missing": ["ec2:RunInstances"]}, {**place, "missing": None}]
    server.on("GET /daemon/status", status | counts | {"places": places})
    done = prism("daemon", "status")
    assert "missing: aws:1:us-west-2  ec2:RunInstances\n" in done.stdout
    assert "prism aws policy" in done.stdout + done.stderr


LOGIN = "POST /daemon/aws/login"
OUT: dict[str, Any] = {
    "aws_profile": "lab",
    "kind": "mfa",
    "serial": "arn:aws:iam::1:mfa/ada",
    "command": [],
    "account": None,
    "identity": None,
    "problem": "it needs the MFA code",
}
IN = OUT | {"account": "1", "identity": "arn:aws:sts::1:assumed-role/lab/ada", "problem": None}


def test_aws_login_asks_for_the_code_on_the_terminal(run_on_terminal, server):
    server.on(LOGIN, OUT, IN)
    code, screen = run_on_terminal("aws", "login", keys="123456\n")
    assert (code, "Code of arn:aws:iam::1:mfa/ada: " in screen) == (0, True)
    assert "identity  arn:aws:sts::1:assumed-role/lab/ada" in screen
    assert [request.body["code"] for request in server.asked] == [None, "123456"]


def test_aws_login_without_a_terminal_says_so(prism, server):
    server.on(LOGIN, OUT)
    done = prism("aws", "login", "--aws-profile", "lab")
    assert done.returncode == 1
    assert "arn:aws:iam::1:mfa/ada" in done.stderr
    assert [request.body["aws_profile"] for request in server.asked] == ["lab"]


def test_aws_login_runs_the_command_of_aws(prism, server, tmp_path, environ):
    state = OUT | {"kind": "login", "serial": None, "command": ["aws", "login", "--profile", "x"]}
    server.on(LOGIN, state, IN, state, state, state)
    program = tmp_path / "aws"
    program.write_text('#!/bin/sh\necho "ran $*"\ntest ! -e $0.broken\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{environ['PATH']}"
    done = prism("aws", "login", PATH=path)
    assert (done.returncode, "ran login --profile x" in done.stdout) == (0, True)
    program.with_name("aws.broken").touch()
    assert "`aws login --profile x` failed" in prism("aws", "login", PATH=path).stderr
    program.with_name("aws.broken").unlink()
    assert "'lab' is not logged in" in prism("aws", "login", PATH=path).stderr, "nobody logged in"


def test_aws_login_without_the_program_of_aws_names_it(prism, server, tmp_path):
    state = OUT | {"kind": "sso", "serial": None, "command": ["aws", "sso", "login"]}
    server.on(LOGIN, state)
    done = prism("aws", "login", PATH=str(tmp_path))
    assert "the program `aws` is not installed" in done.stderr
    assert "https://aws.amazon.com/cli/" in done.stderr


GROUP = {
    "profile": "lab",
    "region": "us-west-2",
    "kind": "security group",
    "id": "sg-1",
    "name": "prism-0123",
    "problem": None,
}
UNKNOWN = {
    "profile": "far",
    "region": None,
    "kind": "",
    "id": "",
    "name": "",
    "problem": "no keys",
}


def test_aws_clean_lists_and_deletes_after_a_yes(prism, run_on_terminal, server):
    server.on("GET /daemon/aws/leftovers", [GROUP, UNKNOWN])
    done = prism("aws", "clean", "--dry-run")
    assert "security group prism-0123 in us-west-2 (profile lab)\n" in done.stdout
    assert "not known for profile far: no keys\n" in done.stdout
    assert prism("aws", "clean").returncode == 1
    assert {request.method for request in server.asked} == {"GET"}
    used = GROUP | {"id": "sg-2", "problem": "it is still in use"}
    server.on("DELETE /daemon/aws/leftovers", [GROUP, used])
    code, screen = run_on_terminal("aws", "clean", keys="yes\n")
    assert code == 0
    assert "deleted: security group prism-0123" in screen
    assert "(profile lab): it is still in use" in screen
    assert prism("aws", "clean", "--yes").returncode == 0


def test_aws_clean_without_leftovers_says_so(prism, server):
    server.on("GET /daemon/aws/leftovers", [])
    assert "no security groups" in prism("aws", "clean").stderr


def test_aws_check_prints_what_the_account_allows(prism, server):
    """A new account has limits that no policy shows; they are hints, and no failure."""
    few = {"name": "vCPUs", "ok": True, "message": "5 vCPUs at once", "remediation": "Ask AWS"}
    key = {"name": "disk key", "ok": None, "message": "the account's own", "remediation": ""}
    server.on(CHECK, [FINE | {"checks": [few, key]}])
    done = prism("aws", "check")
    assert done.returncode == 0
    assert "vCPUs     5 vCPUs at once\n" in done.stdout
    assert "vCPUs: Ask AWS" in done.stderr
