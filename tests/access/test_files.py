"""Access to the files of a workspace in team mode."""

import pytest

from tests.shapes import failed

ROUTES = [
    ("GET", "files", {}),
    ("GET", "files/content?path=x", {}),
    ("PUT", "files/content?path=x", {"content": b"x"}),
    ("DELETE", "files?path=x", {}),
    ("POST", "files/folder", {"json": {"path": "x"}}),
    ("POST", "files/rename", {"json": {"path": "x", "to": "y"}}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES, ids=lambda it: str(it)[:16])
def test_workspace_files_require_the_right_to_manage_the_workspace(team, method, path, body):
    assert team.launch("member", "mine").status_code == 201
    where = f"instances/mine/{path}"
    failed(team("viewer", method, where, **body), 403, "PERMISSION_DENIED")
    failed(team("outside", method, where, **body), 404, "INSTANCE_NOT_FOUND")
    failed(team(None, method, where, **body), 401, "UNAUTHENTICATED")
    for role in ("member", "admin", "owner"):
        assert team(role, method, where, **body).status_code not in {401, 403}, role
