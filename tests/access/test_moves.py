"""Who gives a workspace to another project is an admin of both."""

import pytest

from tests.shapes import failed


@pytest.fixture
def two(team):
    """A workspace in Reef, and a project Tide in which Reef's admin is a viewer at first."""
    assert team.launch("member", "shell").status_code == 201
    assert team("operator", "POST", "projects", json={"name": "Tide"}).status_code == 201
    return team


def move(team, who):
    return team(who, "POST", "instances/shell/move", json={"project": "Tide"})


def joins(team, who, role):
    member = {"email": f"{who}@x.org", "role": role}
    path = "projects/Tide/members"
    assert team("operator", "POST", path, json=member).status_code == 201


def test_what_one_cannot_see_is_not_there(two):
    failed(move(two, "admin"), 404, "PROJECT_NOT_FOUND")
    failed(move(two, "outside"), 404, "INSTANCE_NOT_FOUND")


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_less_than_an_admin_there_is_not_enough(two, role):
    joins(two, "admin", role)
    failed(move(two, "admin"), 403, "PERMISSION_DENIED")


def test_less_than_an_admin_here_is_not_enough_for_ones_own_either(two):
    joins(two, "member", "owner")
    failed(move(two, "member"), 403, "PERMISSION_DENIED")


def test_an_admin_of_both_may(two):
    joins(two, "admin", "admin")
    assert move(two, "admin").status_code == 200
    failed(two("member", "GET", "instances/shell"), 404, "INSTANCE_NOT_FOUND")
    assert two("admin", "GET", "instances/shell").status_code == 200


def test_the_operator_may(two):
    assert move(two, "operator").status_code == 200
