"""Whoever belongs to a project may go; nobody sends others away without the right to."""

import pytest

from tests.access.people import ROLES
from tests.conftest import ML
from tests.shapes import failed


def go(team, caller, whom=None):
    return team(caller, "DELETE", f"projects/Reef/members/{whom or caller}@x.org")


@pytest.mark.parametrize("role", ["viewer", "member", "admin"])
def test_everybody_may_leave(team, role):
    answer = go(team, role, role.upper())
    assert answer.status_code == 200, answer.text
    failed(team(role, "GET", "projects/Reef"), 404, "PROJECT_NOT_FOUND")
    left = team("owner", "GET", "audit?event=member_left").json()
    assert [(leftover["actor"], leftover["data"]["email"]) for leftover in left] == [
        (f"{role}@x.org",) * 2
    ]


def test_nobody_below_an_owner_sends_somebody_else_away(team):
    for role in ("viewer", "member", "admin"):
        for whom in set(ROLES) - {role}:
            failed(go(team, role, whom), 403, "PERMISSION_DENIED")
    failed(go(team, "outside"), 404, "PROJECT_NOT_FOUND")
    failed(go(team, "outside", "viewer"), 404, "PROJECT_NOT_FOUND")


def test_the_last_owner_stays(team):
    assert go(team, "operator", "ada").status_code == 200
    failed(go(team, "owner"), 409, "LAST_OWNER")


def test_a_token_that_only_looks_does_not_leave(team):
    team.token("eyes", user="member@x.org", scope="read")
    failed(go(team, "eyes", "member"), 403, "PERMISSION_DENIED")


def test_who_has_left_hears_no_news_by_asking_again(team):
    """An answer to the same `Idempotency-Key` is repeated as it was."""
    order = {"name": "mine", "template": ML, "project": "Reef"}

    def launch():
        key = {"Idempotency-Key": "k"}
        return team("member", "POST", "instances/launch?wait=0", key, json=order)

    assert launch().json()["state"] == "launching"
    team.daemon.settle()
    assert launch().json()["state"] == "running"
    assert go(team, "member").status_code == 200
    again = launch()
    assert (again.status_code, again.json()["state"]) == (201, "launching")


def facts(team, event):
    """What was written down about one kind of event."""
    return [
        each_event.data
        for each_event in team.daemon.db.events_after(0)
        if each_event.event == event
    ]


def of(team, name):
    body = team("operator", "GET", f"instances/{name}").json()
    return body["owner"], body["state"]


def test_what_becomes_of_workspaces_is_said_and_done(team):
    for name in ("one", "two"):
        assert team.launch("member", name).status_code == 201
    team.launch("admin", "other")
    team.daemon.settle()
    path = "projects/Reef/members/member@x.org"
    failed(team("owner", "DELETE", f"{path}?workspaces=sell"), 422, "VALIDATION_FAILED")
    for nobody in ("viewer@x.org", "outside@x.org", "member@x.org"):
        refused = team("owner", "DELETE", f"{path}?workspaces=hand_over&to={nobody}")
        failed(refused, 422, "VALIDATION_FAILED")
    for half in ("to=admin@x.org", "workspaces=stop&to=admin@x.org", "workspaces=hand_over&to="):
        failed(team("owner", "DELETE", f"{path}?{half}"), 422, "VALIDATION_FAILED")
    assert team("member", "GET", "projects/Reef").status_code == 200, "still a member"
    answer = team("owner", "DELETE", f"{path}?workspaces=hand_over&to=ADMIN@x.org").json()
    assert answer["workspaces"] == [
        {"name": name, "state": "running", "owner": "admin@x.org"} for name in ("one", "two")
    ]
    assert of(team, "one") == ("admin@x.org", "running")
    assert [fact["owner"] for fact in facts(team, "instance_handed_over")] == ["admin@x.org"] * 2
    failed(team("member", "GET", "instances/one"), 404, "INSTANCE_NOT_FOUND")
    mine = team("admin", "GET", "instances?owner=me").json()
    assert {workspace["name"] for workspace in mine} == {"one", "two", "other"}
    team.daemon.settle()
    [owner] = {machine.owner for machine in machines(team, "one")}
    assert owner == "admin@x.org", "what its machine says of itself is true too"


def machines(team, name):
    """What the provider has of a workspace."""
    workspace = team.daemon.workspaces.named(name)
    return [team.daemon.reconciler._computes[workspace.place]._orders[workspace.machine_id]]


def test_workspaces_of_who_leaves_are_stopped_or_stay(team):
    team.launch("member", "one")
    team.launch("admin", "two")
    team.daemon.settle()
    path = "projects/Reef/members"
    stopped = team("owner", "DELETE", f"{path}/member@x.org?workspaces=stop").json()
    assert [workspace["name"] for workspace in stopped["workspaces"]] == ["one"]
    for _ in range(3):
        team.daemon.settle()
        team.daemon.clock.advance(seconds=2)
    assert of(team, "one") == ("member@x.org", "stopped")
    [why] = [fact["reason"] for fact in facts(team, "instance_asked") if fact["verb"] == "stop"]
    assert why == "member@x.org has left the project"
    departure = team("owner", "DELETE", f"{path}/admin@x.org").json()
    assert departure["workspaces"] == [{"name": "two", "state": "running", "owner": "admin@x.org"}]
    assert of(team, "two") == ("admin@x.org", "running")


def test_a_restart_that_is_under_way_ends_with_the_stop_of_who_leaves(team):
    team.launch("member", "one")
    team.daemon.settle()
    assert team("member", "POST", "instances/one/restart?wait=0").status_code == 200
    assert of(team, "one") == ("member@x.org", "stopping")
    path = "projects/Reef/members/member@x.org?workspaces=stop"
    answer = team("owner", "DELETE", path).json()
    assert [workspace["state"] for workspace in answer["workspaces"]] == ["stopping"]
    for _ in range(3):
        team.daemon.settle()
        team.daemon.clock.advance(seconds=2)
    assert of(team, "one") == ("member@x.org", "stopped"), "it does not come up again"


def test_tokens_for_that_project_alone_end_with_all_that_they_made(team):
    team.token("narrow", user="member@x.org", scope="admin", project=team.project)
    minted = team("narrow", "POST", "tokens", json={"name": "n2", "project": team.project})
    team.tokens["child"] = minted.json()["token"]
    assert team("child", "GET", "projects/Reef").status_code == 200
    answer = team("owner", "DELETE", "projects/Reef/members/member@x.org").json()
    assert answer["tokens_revoked"] == 2
    for dead in ("narrow", "child"):
        failed(team(dead, "GET", "projects"), 401, "UNAUTHENTICATED")
    assert team("member", "GET", "projects").json() == [], "hers live on"
    assert len(facts(team, "token_revoked")) == 2
