"""Members read the costs of their project; only the operator reads the costs of all projects."""

import pytest

from tests.access.people import ROLES
from tests.shapes import failed

ROUTES = ("costs/history", "costs/export")


@pytest.mark.parametrize("path", ROUTES)
def test_project_costs_are_readable_by_its_members_only(team, path):
    for role in (*ROLES, "operator"):
        for name in ("Reef", team.project):
            assert team(role, "GET", f"{path}?project={name}").status_code == 200
    failed(team("outside", "GET", f"{path}?project=Reef"), 404, "PROJECT_NOT_FOUND")
    failed(team("owner", "GET", f"{path}?project=None"), 404, "PROJECT_NOT_FOUND")


@pytest.mark.parametrize("path", ROUTES)
def test_costs_of_all_projects_are_readable_by_the_operator_only(team, path):
    team("operator", "POST", "projects", json={"name": "Other"})
    assert team("operator", "GET", path).status_code == 200
    failed(team("owner", "GET", path), 403, "PERMISSION_DENIED")
    refused = failed(team("owner", "GET", "costs/current"), 403, "PERMISSION_DENIED")
    assert "`prism cost history --project NAME`" in refused["remediation"]
    for query in ("project=", "project", "project=Other"):
        failed(team("owner", "GET", f"{path}?{query}"), 404, "PROJECT_NOT_FOUND")
    failed(team("owner", "GET", f"{path}?Project=Reef"), 422, "VALIDATION_FAILED")
    twice = team("owner", "GET", f"{path}?project=Reef&project=Other")
    failed(twice, 422, "VALIDATION_FAILED")


def test_costs_of_a_deleted_project_are_readable_by_the_operator_only(team):
    path = "costs/history?project=Reef"
    assert team("operator", "DELETE", "projects/Reef").status_code == 200
    assert team("operator", "GET", path).status_code == 200
    failed(team("owner", "GET", path), 404, "PROJECT_NOT_FOUND")
