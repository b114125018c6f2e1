"""A workspace that moves to another project leaves its snapshots and their content behind."""

import pytest

from tests.shapes import failed


@pytest.fixture
def moved(team, disks):
    """A workspace of Reef that has moved to Den; its snapshot `before` stays in Reef."""
    den = {"name": "Den", "members": [{"email": "eve@x.org", "role": "owner"}]}
    assert team("operator", "POST", "projects", json=den).status_code == 201
    team.token("eve", user="eve@x.org", scope="admin")
    launch(team, disks, "member", "mine", "Reef")
    snapshot(team, "member", "before", "mine")
    move = {"project": "Den"}
    assert team("operator", "POST", "instances/mine/move", json=move).status_code == 200
    return team


def settle(team):
    for _ in range(4):
        team.daemon.settle()
        team.daemon.clock.advance(seconds=3)


def launch(team, disks, caller, name, project):
    assert team.launch(caller, name, project=project).status_code == 201
    settle(team)
    disks.machines[team.daemon.workspaces.named(name).machine_id] = "files"


def snapshot(team, caller, name, workspace):
    request = {"name": name, "instance": workspace}
    assert team(caller, "POST", "snapshots", json=request).status_code == 201
    settle(team)
    assert team(caller, "GET", f"snapshots/{name}").json()["state"] == "completed"


def rollback(team, caller, workspace, name):
    return team(caller, "POST", f"instances/{workspace}/rollback", json={"snapshot": name})


def test_rollback_brings_no_files_of_the_former_project(moved):
    failed(moved("eve", "GET", "snapshots/before"), 404, "SNAPSHOT_NOT_FOUND")
    failed(rollback(moved, "eve", "mine", "before"), 404, "SNAPSHOT_NOT_FOUND")
    snapshot(moved, "eve", "after", "mine")
    assert rollback(moved, "eve", "mine", "after").status_code == 200


def test_rollback_names_no_snapshot_or_workspace_of_another_project(moved, disks):
    launch(moved, disks, "eve", "hers", "Den")
    hidden, missing = (rollback(moved, "eve", "hers", name) for name in ("before", "absent"))
    failed(missing, 404, "SNAPSHOT_NOT_FOUND")
    failed(hidden, 404, "SNAPSHOT_NOT_FOUND")
    assert "mine" not in hidden.text


def test_owner_of_a_workspace_rolls_it_back_to_its_own_snapshot(moved, disks):
    launch(moved, disks, "member", "second", "Reef")
    snapshot(moved, "member", "own", "second")
    assert rollback(moved, "member", "second", "own").status_code == 200
    failed(rollback(moved, "viewer", "second", "own"), 403, "PERMISSION_DENIED")
