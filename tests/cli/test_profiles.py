"""`prism profile`."""

import json

import pytest

LAB = {
    "name": "lab",
    "provider": "aws",
    "aws_profile": "x",
    "region": "us-west-2",
    "default_project": None,
    "active": True,
    "created_at": "2026-01-01T00:00:00Z",
    "last_used": None,
}


def test_profile_list_marks_the_active_profile(prism, server):
    server.on("GET /profiles", [LAB, LAB | {"name": "b", "active": False}])
    head, lab, other = prism("profile", "list").stdout.splitlines()
    assert head.split()[:2] == ["NAME", "PROVIDER"]
    assert (lab[:6], other[:4]) == ("*  lab", "   b")


def test_profile_current_prints_the_active_profile(prism, server):
    server.on("GET /profiles/current", LAB)
    assert "AWS profile      x\n" in prism("profile", "current").stdout
    assert json.loads(prism("profile", "current", "--json").stdout) == LAB


@pytest.mark.parametrize(
    ("words", "line", "body"),
    [
        ("switch lab", "POST /profiles/switch", {"profile_name": "lab"}),
        ("create lab", "POST /profiles", {"name": "lab", "provider": "local"}),
        (
            "create lab --provider aws --aws-profile x --region r --default-project p",
            "POST /profiles",
            {
                "name": "lab",
                "provider": "aws",
                "aws_profile": "x",
                "region": "r",
                "default_project": "p",
            },
        ),
        ("update lab --region r", "PUT /profiles/lab", {"region": "r"}),
        ("delete lab", "DELETE /profiles/lab", None),
    ],
)
def test_profile_commands_send_the_expected_request(prism, server, words, line, body):
    server.on(line, LAB)
    done = prism("profile", *words.split())
    assert (done.returncode, "lab" in done.stdout) == (0, True)
    assert server.asked_for(line)[0].body == body


def test_profile_update_without_options_is_a_usage_error(prism, server):
    assert prism("profile", "update", "lab").returncode == 2
    assert not server.asked
