"""Who gives a workspace to another project is an admin of both."""

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


def joins(team, user, role):
    member = {"email": f"{user}@x.org", "role": role}
    path = "projects/Tide/members"
    assert team("operator", "POST", path, json=member).status_code == 201


def test_what_one_cannot_see_is_not_there(team_with_two_projects):
    failed(move(team_with_two_projects, "admin"), 404, "PROJECT_NOT_FOUND")
    failed(move(team_with_two_projects, "outside"), 404, "INSTANCE_NOT_FOUND")


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_less_than_an_admin_there_is_not_enough(team_with_two_projects, role):
    joins(team_with_two_projects, "admin", role)
    failed(move(team_with_two_projects, "admin"), 403, "PERMISSION_DENIED")


def test_less_than_an_admin_here_is_not_enough_for_ones_own_either(team_with_two_projects):
    joins(team_with_two_projects, "member", "owner")
    failed(move(team_with_two_projects, "member"), 403, "PERMISSION_DENIED")


def test_an_admin_of_both_may(team_with_two_projects):
    joins(team_with_two_projects, "admin", "admin")
    assert move(team_with_two_projects, "admin").status_code == 200
    failed(team_with_two_projects("member", "GET", "instances/shell"), 404, "INSTANCE_NOT_FOUND")
    assert team_with_two_projects("admin", "GET", "instances/shell").status_code == 200


def test_the_operator_may(team_with_two_projects):
    assert move(team_with_two_projects, "operator").status_code == 200
