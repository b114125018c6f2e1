"""Members leave a project by themselves, or an owner removes them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from prism.access.model import Role
from prism.projects.model import MemberChange
from tests.access.people import ROLES
from tests.conftest import ML
from tests.shapes import failed


def remove(team, caller, member=None):
    return team(caller, "DELETE", f"projects/Reef/members/{member or caller}@x.org")


@pytest.mark.parametrize("role", ["viewer", "member", "admin"])
def test_member_can_leave_the_project(team, role):
    answer = remove(team, role, role.upper())
    assert answer.status_code == 200, answer.text
    failed(team(role, "GET", "projects/Reef"), 404, "PROJECT_NOT_FOUND")
    left = team("owner", "GET", "audit?event=member_left").json()
    assert [(leftover["actor"], leftover["data"]["email"]) for leftover in left] == [
        (f"{role}@x.org",) * 2
    ]


def test_member_below_owner_cannot_remove_other_members(team):
    for role in ("viewer", "member", "admin"):
        for member in set(ROLES) - {role}:
            failed(remove(team, role, member), 403, "PERMISSION_DENIED")
    failed(remove(team, "outside"), 404, "PROJECT_NOT_FOUND")
    failed(remove(team, "outside", "viewer"), 404, "PROJECT_NOT_FOUND")


def test_last_owner_cannot_leave(team):
    assert remove(team, "operator", "ada").status_code == 200
    failed(remove(team, "owner"), 409, "LAST_OWNER")


def test_read_token_cannot_leave_the_project(team):
    team.token("eyes", user="member@x.org", scope="read")
    failed(remove(team, "eyes", "member"), 403, "PERMISSION_DENIED")


def test_idempotent_replay_after_leaving_returns_the_first_answer_only(team):
    """The present state of the workspace is no longer visible to its former member."""
    order = {"name": "mine", "template": ML, "project": "Reef"}

    def launch():
        key = {"Idempotency-Key": "k"}
        return team("member", "POST", "instances/launch?wait=0", key, json=order)

    assert launch().json()["state"] == "launching"
    team.daemon.settle()
    assert launch().json()["state"] == "running"
    assert remove(team, "member").status_code == 200
    again = launch()
    assert (again.status_code, again.json()["state"]) == (201, "launching")


def event_data(team, event):
    """The data of all events of that name."""
    return [
        each_event.data
        for each_event in team.daemon.db.events_after(0)
        if each_event.event == event
    ]


def owner_and_state(team, name):
    body = team("operator", "GET", f"instances/{name}").json()
    return body["owner"], body["state"]


def test_workspaces_of_a_removed_member_are_handed_over_to_another_member(team):
    for name in ("one", "two"):
        assert team.launch("member", name).status_code == 201
    team.launch("admin", "other")
    team.daemon.settle()
    path = "projects/Reef/members/member@x.org"
    failed(team("owner", "DELETE", f"{path}?workspaces=sell"), 422, "VALIDATION_FAILED")
    for recipient in ("viewer@x.org", "outside@x.org", "member@x.org"):
        refused = team("owner", "DELETE", f"{path}?workspaces=hand_over&to={recipient}")
        failed(refused, 422, "VALIDATION_FAILED")
    for half in ("to=admin@x.org", "workspaces=stop&to=admin@x.org", "workspaces=hand_over&to="):
        failed(team("owner", "DELETE", f"{path}?{half}"), 422, "VALIDATION_FAILED")
    assert team("member", "GET", "projects/Reef").status_code == 200, "still a member"
    answer = team("owner", "DELETE", f"{path}?workspaces=hand_over&to=ADMIN@x.org").json()
    assert answer["workspaces"] == [
        {"name": name, "state": "running", "owner": "admin@x.org"} for name in ("one", "two")
    ]
    assert owner_and_state(team, "one") == ("admin@x.org", "running")
    assert [fact["owner"] for fact in event_data(team, "instance_handed_over")] == [
        "admin@x.org"
    ] * 2
    failed(team("member", "GET", "instances/one"), 404, "INSTANCE_NOT_FOUND")
    mine = team("admin", "GET", "instances?owner=me").json()
    assert {workspace["name"] for workspace in mine} == {"one", "two", "other"}
    team.daemon.settle()
    [owner] = {machine.owner for machine in machines(team, "one")}
    assert owner == "admin@x.org", "the machine's metadata names the new owner"


def machines(team, name):
    """The machines of a workspace at its provider."""
    workspace = team.daemon.workspaces.named(name)
    return [team.daemon.reconciler._computes[workspace.location]._specs[workspace.machine_id]]


def test_workspaces_of_a_removed_member_stop_or_keep_running_as_requested(team):
    team.launch("member", "one")
    team.launch("admin", "two")
    team.daemon.settle()
    path = "projects/Reef/members"
    stopped = team("owner", "DELETE", f"{path}/member@x.org?workspaces=stop").json()
    assert [workspace["name"] for workspace in stopped["workspaces"]] == ["one"]
    for _ in range(3):
        team.daemon.settle()
        team.daemon.clock.advance(seconds=2)
    assert owner_and_state(team, "one") == ("member@x.org", "stopped")
    [why] = [
        fact["reason"] for fact in event_data(team, "instance_asked") if fact["verb"] == "stop"
    ]
    assert why == "member@x.org has left the project"
    departure = team("owner", "DELETE", f"{path}/admin@x.org").json()
    assert departure["workspaces"] == [{"name": "two", "state": "running", "owner": "admin@x.org"}]
    assert owner_and_state(team, "two") == ("admin@x.org", "running")


def test_restart_ends_stopped_when_its_owner_is_removed_with_workspaces_stop(team):
    team.launch("member", "one")
    team.daemon.settle()
    assert team("member", "POST", "instances/one/restart?wait=0").status_code == 200
    assert owner_and_state(team, "one") == ("member@x.org", "stopping")
    path = "projects/Reef/members/member@x.org?workspaces=stop"
    answer = team("owner", "DELETE", path).json()
    assert [workspace["state"] for workspace in answer["workspaces"]] == ["stopping"]
    for _ in range(3):
        team.daemon.settle()
        team.daemon.clock.advance(seconds=2)
    assert owner_and_state(team, "one") == ("member@x.org", "stopped"), "it does not start again"


def test_leaving_revokes_project_tokens_and_their_descendants(team):
    team.token("narrow", user="member@x.org", scope="admin", project=team.project)
    minted = team("narrow", "POST", "tokens", json={"name": "n2", "project": team.project})
    team.tokens["child"] = minted.json()["token"]
    assert team("child", "GET", "projects/Reef").status_code == 200
    answer = team("owner", "DELETE", "projects/Reef/members/member@x.org").json()
    assert answer["tokens_revoked"] == 2
    for dead in ("narrow", "child"):
        failed(team(dead, "GET", "projects"), 401, "UNAUTHENTICATED")
    assert team("member", "GET", "projects").json() == [], "other tokens stay valid"
    assert len(event_data(team, "token_revoked")) == 2


@pytest.mark.parametrize("team", [{"project_creation": "operator"}], indirect=True)
@pytest.mark.parametrize("loss", ["removed", "viewer", "member", "admin"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("projects/Reef/members", {"email": "accomplice@x.org", "role": "owner"}),
        ("projects/Reef/members", {"email": "accomplice@x.org", "role": "viewer"}),
        ("invitations/send", {"project_id": "Reef", "email": "accomplice@x.org", "role": "owner"}),
        ("invitations/send", {"project_id": "Reef", "email": "a@x.org", "role": "viewer"}),
    ],
)
def test_request_that_waits_while_its_owner_loses_the_role_brings_nobody_in(
    team, monkeypatch, loss, path, body
):
    """Somebody who expects to be removed sends such requests all the time."""
    member = {"email": "second@x.org", "role": "owner"}
    assert team("owner", "POST", "projects/Reef/members", json=member).status_code == 201
    team.token("second", scope="admin")
    assert team("second", "GET", "me").status_code == 200
    waits, own, write = threading.Event(), threading.get_ident(), team.daemon.db.write

    def announced_write():
        if threading.get_ident() != own:
            waits.set()
        return write()

    monkeypatch.setattr(team.daemon.db, "write", announced_write)
    members = team.daemon.members
    with ThreadPoolExecutor(1) as pool:
        with team.daemon.db.write():
            answer = pool.submit(team, "second", "POST", path, json=body)
            assert waits.wait(30)
            if loss == "removed":
                members.remove("Reef", "second@x.org")
            else:
                members.change("Reef", "second@x.org", MemberChange(role=Role(loss)))
        if (loss, path, body["role"]) == ("admin", "invitations/send", "viewer"):
            assert answer.result().status_code == 201, "which an admin may do"
        else:
            failed(answer.result(), 403, "PERMISSION_DENIED")
