"""Refusals say what was asked, not the row of the matrix that it is in."""

import pytest


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "budgets", "Only the operator of this daemon may see and change budget pools"),
        (
            "GET",
            "costs/current",
            "Only the operator of this daemon may see what all projects",
        ),
        ("POST", "daemon/shutdown", "Only the operator of this daemon may manage the daemon"),
        ("GET", "logs", "Only the operator of this daemon may list the logs"),
        ("GET", "orphans", "Only the operator of this daemon may take back machines"),
        ("GET", "/aws-proxy/ec2", "Only the operator of this daemon may open the consoles of AWS"),
        ("DELETE", "projects/Reef", "You may not delete this project"),
        ("GET", "invitations/project/Reef", "You may not invite people to this project"),
    ],
)
def test_a_refusal_is_in_the_words_of_who_asks(team, method, path, message):
    error = team("viewer", method, path).json()["error"]
    assert (error["code"], error["message"][: len(message)]) == ("PERMISSION_DENIED", message)


def test_who_launches_without_a_project_is_told_how_to_name_one(team):
    order = {"name": "mine", "template": "Plain Shell"}
    error = team("member", "POST", "instances/launch", json=order).json()["error"]
    assert error["message"] == "You may not launch without a project"
    assert "`--project NAME`" in error["remediation"]
    assert team.launch("member", "mine").status_code == 201


def test_a_refusal_says_the_role_that_one_has(team):
    for user, method, path, role in (
        ("viewer", "DELETE", "projects/Reef", "you are viewer there"),
        ("viewer", "GET", "budgets", "you have no role there"),
    ):
        details = team(user, method, path).json()["error"]["details"]
        assert details == f"{role}; your access is admin"


def test_a_snapshot_of_anothers_workspace_is_an_admins(team):
    """Its volume need not be named; its workspace is looked at all the same."""
    assert team.launch("owner", "theirs").status_code == 201
    order = {"name": "snap", "instance": "theirs"}
    for role in ("viewer", "member"):
        answer = team(role, "POST", "snapshots", json=order)
        assert answer.json()["error"]["code"] == "PERMISSION_DENIED"
