"""Launches for other people, and rollbacks to snapshots of other workspaces: who may."""

import pytest

from tests.access.people import Team
from tests.conftest import Http
from tests.shapes import failed

GUEST = "new@x.org"


@pytest.fixture
def team(make_daemon):
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        smtp_url="smtp://127.0.0.1:1",  # mail waits, and no file is written
        project_creation="everybody",
    )
    return Team(daemon, Http(daemon.app))


def owner_of(team, name):
    rows = team("operator", "GET", "instances").json()
    return next(row["owner"] for row in rows if row["name"] == name)


@pytest.mark.parametrize("caller", ["admin", "owner", "operator"])
def test_admin_launches_for_a_member(team, caller):
    answer = team.launch(caller, "desk", owner="Member@X.org")
    assert answer.status_code == 201, answer.text
    assert owner_of(team, "desk") == "member@x.org"
    assert team("member", "POST", "instances/desk/stop").status_code == 200
    [entry] = team("operator", "GET", "audit?event=instance_asked&subject=desk").json()[1:]
    assert entry["actor"] == ("ada@x.org" if caller == "operator" else f"{caller}@x.org")


def test_member_launches_for_nobody_else(team):
    failed(team.launch("member", "desk", owner="admin@x.org"), 403, "PERMISSION_DENIED")
    assert team.launch("member", "desk", owner="member@x.org").status_code == 201


@pytest.mark.parametrize("owner", ["outside@x.org", "viewer@x.org", "", "nobody", "a\n@x.org"])
def test_owner_may_have_workspaces_in_the_project(team, owner):
    failed(team.launch("admin", "desk", owner=owner or " "), 422, "VALIDATION_FAILED")


def test_plan_is_refused_as_the_launch_is(team):
    answer = team.launch("admin", "desk", owner="outside@x.org", dry_run=True)
    failed(answer, 422, "VALIDATION_FAILED")


def test_invited_person_owns_it_and_enters_once_they_have_accepted(team):
    sent = team.invite(email=GUEST).json()
    id, token = sent["id"], sent["token"]
    team.token("new", user=GUEST, scope="admin")
    assert team.launch("operator", "desk", owner=GUEST).status_code == 201
    assert team("new", "GET", "instances/work").status_code == 404
    assert team("new", "POST", "instances/desk/stop").status_code == 404
    accepted = team("new", "POST", f"invitations/{id}/accept", json={"token": token})
    assert accepted.is_success, accepted.text
    assert team("new", "POST", "instances/desk/stop").status_code == 200


def test_person_who_has_not_accepted_owns_nothing_of_a_project_that_anybody_made(team):
    """It would count for the person's limits, and the person could neither see nor stop it."""
    trap = team("outside", "POST", "projects", json={"name": "Trap"}).json()["id"]
    body = {"project_id": trap, "email": "member@x.org"}
    sent = team("outside", "POST", "invitations/send", json=body).json()
    order = {"owner": "member@x.org", "project": trap}
    answer = team.launch("outside", "desk", **order)
    failed(answer, 422, "VALIDATION_FAILED")
    assert "once they have accepted" in answer.text
    assert team.launch("operator", "desk", **order).status_code == 201
    accepted = team(
        "member", "POST", f"invitations/{sent['id']}/accept", json={"token": sent["token"]}
    )
    assert accepted.is_success, accepted.text
    assert team.launch("outside", "other", **order).status_code == 201


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_invitation_that_is_over_counts_no_more(team, end):
    id = team.invite(email=GUEST).json()["id"]
    if end == "revoked":
        assert team("admin", "DELETE", f"invitations/{id}").is_success
    else:
        team.daemon.clock.advance(days=8)
    failed(team.launch("operator", "desk", owner=GUEST), 422, "VALIDATION_FAILED")


def test_owner_needs_a_project(team):
    order = {"name": "desk", "template": "Plain Shell", "owner": "member@x.org"}
    failed(team("operator", "POST", "instances/launch", json=order), 422, "VALIDATION_FAILED")


def test_admin_of_another_project_launches_nothing_here(team):
    other = team("outside", "POST", "projects", json={"name": "Other"}).json()["id"]
    answer = team.launch("outside", "desk", owner="member@x.org")
    assert answer.status_code == 404
    failed(
        team.launch("outside", "desk", owner="member@x.org", project=other),
        422,
        "VALIDATION_FAILED",
    )


def test_names_are_those_of_the_owner(team):
    assert team.launch("admin", "desk", owner="member@x.org").status_code == 201
    failed(team.launch("admin", "desk", owner="member@x.org"), 409, "NAME_TAKEN")
    assert team.launch("admin", "desk").status_code == 201
    names = {row["full_name"] for row in team("admin", "GET", "instances").json()}
    assert names == {"desk--member", "desk--admin"}


def take_snapshot(team, caller, name, of):
    answer = team(caller, "POST", "snapshots", json={"name": name, "instance": of})
    assert answer.is_success, answer.text
    settle(team)


def settle(team):
    """Reconciles what is due at once, and what is due some seconds later."""
    for _ in range(6):
        team.daemon.settle()
        team.daemon.clock.advance(seconds=2)


@pytest.fixture
def two(team, disks):
    """Workspaces of a member and an admin, and a snapshot `start` of the admin's."""
    team.launch("member", "desk")
    team.launch("admin", "model")
    settle(team)
    for name in ("model--admin", "desk--member"):
        disks.machines[team.daemon.workspaces.named(name).machine_id] = "files"
    take_snapshot(team, "admin", "start", "model")
    return team


def roll_back(team, caller, **more):
    body = {"snapshot": "start", **more}
    return team(caller, "POST", "instances/desk--member/rollback", json=body)


def test_admin_resets_a_workspace_to_the_snapshot_of_another(two):
    failed(roll_back(two, "admin"), 409, "SNAPSHOT_OF_ANOTHER")
    answer = roll_back(two, "admin", of_another=True)
    assert answer.status_code == 200, answer.text
    assert answer.json()["backup"] == "desk-before-rollback"


def test_member_takes_no_files_out_of_the_snapshot_of_another(two):
    failed(roll_back(two, "member", of_another=True), 403, "PERMISSION_DENIED")
    failed(roll_back(two, "outside", of_another=True), 404, "INSTANCE_NOT_FOUND")
