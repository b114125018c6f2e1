"""Moving a workspace to another project requires the role of admin in both."""

import pytest

from tests.shapes import failed


@pytest.fixture
def team_with_two_projects(team):
    """A workspace in Reef, and a project Tide in which Reef's admin is a viewer at first."""
    assert team.launch("member", "shell").status_code == 201
    assert team("operator", "POST", "projects", json={"name": "Tide"}).status_code == 201
    return team


def move(team, caller):
    return team(caller, "POST", "instances/shell/move", json={"project": "Tide"})


def add_member_of_tide(team, user, role):
    member = {"email": f"{user}@x.org", "role": role}
    path = "projects/Tide/members"
    assert team("operator", "POST", path, json=member).status_code == 201


def test_move_answers_404_for_an_invisible_workspace_or_project(team_with_two_projects):
    failed(move(team_with_two_projects, "admin"), 404, "PROJECT_NOT_FOUND")
    failed(move(team_with_two_projects, "outside"), 404, "INSTANCE_NOT_FOUND")


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_move_requires_an_admin_of_the_target_project(team_with_two_projects, role):
    add_member_of_tide(team_with_two_projects, "admin", role)
    failed(move(team_with_two_projects, "admin"), 403, "PERMISSION_DENIED")


def test_move_of_an_own_workspace_requires_an_admin_of_its_project(team_with_two_projects):
    add_member_of_tide(team_with_two_projects, "member", "owner")
    failed(move(team_with_two_projects, "member"), 403, "PERMISSION_DENIED")


def test_move_is_allowed_to_an_admin_of_both_projects(team_with_two_projects):
    add_member_of_tide(team_with_two_projects, "admin", "admin")
    assert move(team_with_two_projects, "admin").status_code == 200
    failed(team_with_two_projects("member", "GET", "instances/shell"), 404, "INSTANCE_NOT_FOUND")
    assert team_with_two_projects("admin", "GET", "instances/shell").status_code == 200


def test_move_is_allowed_to_the_operator(team_with_two_projects):
    assert move(team_with_two_projects, "operator").status_code == 200
