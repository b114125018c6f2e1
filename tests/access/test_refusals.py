"""A refusal names the request in words, not the verb of the access matrix."""

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
def test_refusal_message_describes_the_refused_request(team, method, path, message):
    error = team("viewer", method, path).json()["error"]
    assert (error["code"], error["message"][: len(message)]) == ("PERMISSION_DENIED", message)


def test_refused_launch_without_a_project_suggests_the_project_option(team):
    order = {"name": "mine", "template": "Plain Shell"}
    error = team("member", "POST", "instances/launch", json=order).json()["error"]
    assert error["message"] == "You may not launch without a project"
    assert "`--project NAME`" in error["remediation"]
    assert team.launch("member", "mine").status_code == 201


def test_refusal_details_contain_the_role_and_scope_of_the_caller(team):
    for user, method, path, role in (
        ("viewer", "DELETE", "projects/Reef", "you are viewer there"),
        ("viewer", "GET", "budgets", "you have no role there"),
    ):
        details = team(user, method, path).json()["error"]["details"]
        assert details == f"{role}; your access is admin"


def test_snapshot_of_another_users_workspace_is_refused_below_admin(team):
    """The request names no volume; the right to its workspace is checked all the same."""
    assert team.launch("owner", "theirs").status_code == 201
    order = {"name": "snap", "instance": "theirs"}
    for role in ("viewer", "member"):
        answer = team(role, "POST", "snapshots", json=order)
        assert answer.json()["error"]["code"] == "PERMISSION_DENIED"
