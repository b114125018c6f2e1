"""Shares: who makes them, whom they let in, and when they end."""

from datetime import UTC, datetime, timedelta

import pytest

from prism.access.model import Caller, Role, Scope
from prism.sharing.model import Share, ShareAudience, SharedThing
from prism.sharing.plan import is_guest
from tests.access.people import Team
from tests.conftest import Http
from tests.shapes import failed

START = datetime(2026, 1, 1, tzinfo=UTC)
TOMORROW = "2026-01-02T00:00:00Z"


@pytest.fixture
def team(make_daemon, cloud):
    cloud.busy = timedelta(0)
    daemon = make_daemon(
        auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1", project_creation="nobody"
    )
    team = Team(daemon, Http(daemon.app))
    assert team.launch("member", "mine").status_code == 201
    daemon.settle()
    return team


def share(team, caller="member", guest="viewer@x.org", **more):
    body = {"terminal": True, "guest": guest, "until": TOMORROW, **more}
    return team(caller, "POST", "instances/mine/shares", json=body)


def received(team, caller):
    return [row["id"] for row in team(caller, "GET", "shares").json()["received"]]


def test_owner_shares_and_both_see_it(team):
    answer = share(team)
    assert answer.status_code == 201, answer.text
    id = answer.json()["id"]
    assert received(team, "viewer") == [id]
    assert received(team, "admin") == received(team, "outside") == []
    assert [row["id"] for row in team("member", "GET", "shares").json()["given"]] == [id]
    listed = team("member", "GET", "instances/mine/shares").json()
    assert listed["count"] == 1 and listed["shares"][0]["guest"] == "viewer@x.org"
    assert team("member", "DELETE", f"shares/{id}").status_code == 200
    assert received(team, "viewer") == []
    events = [entry["event"] for entry in team("member", "GET", "audit").json()]
    assert {"share_created", "share_ended"} <= {*events}


def test_share_with_a_project_and_with_everybody(team):
    other = team("operator", "POST", "projects", json={"name": "Other"}).json()["id"]
    body = {"email": "outside@x.org", "role": "viewer"}
    assert team("operator", "POST", f"projects/{other}/members", json=body).status_code == 201
    failed(share(team, guest="project:Other"), 404, "PROJECT_NOT_FOUND")
    inside = share(team, guest="project:Reef").json()["id"]
    assert received(team, "viewer") == [inside] and received(team, "outside") == []
    everybody = share(team, guest="everybody").json()["id"]
    assert received(team, "outside") == [everybody]
    assert sorted(received(team, "viewer")) == sorted([inside, everybody])


def test_only_the_owner_shares_and_nobody_without_an_account_is_a_guest(team):
    impossible, denied = (409, "SHARE_IMPOSSIBLE"), (403, "PERMISSION_DENIED")
    for caller, refusal in (
        *((manager, impossible) for manager in ("admin", "owner", "operator")),
        ("viewer", denied),
    ):
        failed(share(team, caller, guest="everybody"), *refusal)
    failed(share(team, "outside", guest="everybody"), 404, "INSTANCE_NOT_FOUND")
    failed(share(team, guest="stranger@x.org"), 422, "VALIDATION_FAILED")
    failed(share(team, guest="member@x.org"), 422, "VALIDATION_FAILED")
    failed(share(team, until="2025-12-31T00:00:00Z"), 422, "VALIDATION_FAILED")
    failed(share(team, until="2027-12-31T00:00:00Z"), 422, "VALIDATION_FAILED")
    failed(share(team, app="jupyter"), 422, "VALIDATION_FAILED")
    refused = failed(share(team, app="jupyter", terminal=False), 409, "SHARE_IMPOSSIBLE")
    assert "PRISM_APPS_DOMAIN" in refused["remediation"]


def test_share_gives_nothing_else_of_the_workspace(team):
    """A guest outside of the project knows the workspace only as a line of the list."""
    other = team("operator", "POST", "projects", json={"name": "Other"}).json()["id"]
    member = {"email": "outside@x.org", "role": "admin"}
    assert team("operator", "POST", f"projects/{other}/members", json=member).status_code == 201
    assert share(team, guest="outside@x.org").status_code == 201
    id = team("member", "GET", "instances/mine").json()["workspace"]
    for name in ("mine", "mine--member", id):
        for method, path in (
            ("GET", f"instances/{name}"),
            ("GET", f"instances/{name}/connect"),
            ("GET", f"instances/{name}/files"),
            ("GET", f"logs/{name}"),
            ("POST", f"instances/{name}/stop"),
            ("POST", f"instances/{name}/resume"),
            ("GET", f"instances/{name}/shares"),
            ("GET", f"/ssh-proxy/{name}"),
            ("GET", f"/web-proxy/{name}"),
        ):
            answer = team("outside", method, path)
            assert answer.status_code == 404, (method, path, answer.text)
        body = {"terminal": True, "guest": "everybody", "until": TOMORROW}
        again = team("outside", "POST", f"instances/{name}/shares", json=body)
        failed(again, 404, "INSTANCE_NOT_FOUND")


def test_guest_wakes_only_what_the_owner_allows(team):
    shared = share(team).json()["id"]
    assert team("viewer", "POST", f"shares/{shared}/wake").json()["state"] == "running"
    assert team("member", "POST", "instances/mine/stop").status_code == 200
    team.daemon.settle()
    failed(team("viewer", "POST", f"shares/{shared}/wake"), 403, "PERMISSION_DENIED")
    allowed = share(team, may_wake=True).json()["id"]
    for caller in ("admin", "outside", "operator", "member"):
        failed(team(caller, "POST", f"shares/{allowed}/wake"), 404, "SHARE_NOT_FOUND")
    answer = team("viewer", "POST", f"shares/{allowed}/wake")
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "starting"
    last = team("member", "GET", "instances/mine").json()["last_request"]
    assert last["by"] == "viewer@x.org" and "guest" in last["reason"]


@pytest.mark.parametrize("how", ["time", "guest", "owner", "terminated", "handed_over"])
def test_share_ends_once(team, clock, how):
    shared = share(team, guest="viewer@x.org").json()["id"]
    members = f"projects/{team.project}/members"
    if how == "time":
        clock.advance(days=1)
    elif how == "guest":
        assert team("owner", "DELETE", f"{members}/viewer@x.org").status_code == 200
        assert received(team, "viewer") == []
        failed(team("viewer", "POST", f"shares/{shared}/wake"), 404, "SHARE_NOT_FOUND")
        return
    elif how == "owner":
        assert team("owner", "DELETE", f"{members}/member@x.org").status_code == 200
    elif how == "terminated":
        body = {"confirm": "DELETE"}
        assert team("member", "POST", "instances/mine/terminate", json=body).status_code == 200
        team.daemon.settle()
    else:
        path = f"{members}/member@x.org?workspaces=hand_over&to=admin@x.org"
        assert team("owner", "DELETE", path).status_code == 200
    assert received(team, "viewer") == []
    failed(team("viewer", "POST", f"shares/{shared}/wake"), 404, "SHARE_NOT_FOUND")
    for _ in range(2):
        team.daemon.settle()
    ends = [
        entry
        for entry in team("operator", "GET", "audit?limit=500").json()
        if entry["event"] == "share_ended"
    ]
    assert len(ends) == 1, how


def test_who_ends_a_share(team):
    shared = share(team, guest="everybody").json()["id"]
    failed(team("viewer", "DELETE", f"shares/{shared}"), 403, "PERMISSION_DENIED")
    failed(team("outside", "DELETE", f"shares/{shared}"), 404, "SHARE_NOT_FOUND")
    assert team("admin", "DELETE", f"shares/{shared}").status_code == 200
    failed(team("member", "DELETE", f"shares/{shared}"), 404, "SHARE_NOT_FOUND")


def test_guests_of_each_audience():
    def to(audience, guest):
        return Share(
            id="s",
            workspace="w",
            kind=SharedThing.TERMINAL,
            service=None,
            port=None,
            audience=audience,
            guest=guest,
            may_wake=False,
            owner="ada@x",
            created_at=START,
            until=START + timedelta(days=1),
        )

    bob = Caller(name="bob@x", roles={"reef": Role.VIEWER}, team=True)
    person, everybody = to(ShareAudience.PERSON, "bob@x"), to(ShareAudience.EVERYBODY, None)
    project = to(ShareAudience.PROJECT, "reef")
    assert all(is_guest(share, bob) for share in (person, everybody, project))
    assert not is_guest(to(ShareAudience.PROJECT, "other"), bob)
    assert not is_guest(to(ShareAudience.PERSON, "eve@x"), bob)
    for narrower in (
        Caller(name="bob@x", team=True),  # belongs to no project
        Caller(name="bob@x", roles=bob.roles, scope=Scope.READ, team=True),
        Caller(name="bob@x", roles=bob.roles, token_project="reef", team=True),
        Caller(name="bob@x", roles=bob.roles, known=False, team=True),
    ):
        assert not any(is_guest(share, narrower) for share in (person, everybody, project))


def test_share_with_a_person_ends_with_the_membership_and_does_not_come_back(team):
    id = share(team).json()["id"]
    members = f"projects/{team.project}/members"
    assert team("owner", "DELETE", f"{members}/viewer@x.org").status_code == 200
    again = {"email": "viewer@x.org", "role": "viewer"}
    assert team("owner", "POST", members, json=again).status_code == 201
    assert received(team, "viewer") == []
    failed(team("viewer", "GET", f"shares/{id}/open"), 404, "SHARE_NOT_FOUND")
    assert team("member", "GET", "shares").json()["given"] == []
    entries = team("member", "GET", "audit").json()
    assert [each["data"]["reason"] for each in entries if each["event"] == "share_ended"] == [
        "viewer@x.org left Reef"
    ]


def test_share_with_who_stays_in_another_project_ends_with_the_last_one(team):
    """The guest came from elsewhere; and a deleted project ends memberships, too."""
    projects = [
        team("operator", "POST", "projects", json={"name": name}).json()["id"]
        for name in ("Other", "Third")
    ]
    again = {"email": "outside@x.org", "role": "viewer"}
    for project in projects:
        assert team("operator", "POST", f"projects/{project}/members", json=again).is_success
    id = share(team, guest="outside@x.org").json()["id"]
    assert team("operator", "DELETE", f"projects/{projects[0]}").status_code == 200
    assert received(team, "outside") == [id]
    assert team("operator", "DELETE", f"projects/{projects[1]}").status_code == 200
    new = team("operator", "POST", "projects", json={"name": "Fourth"}).json()["id"]
    assert team("operator", "POST", f"projects/{new}/members", json=again).is_success
    assert received(team, "outside") == []


def test_shares_of_an_owner_end_when_the_owner_leaves_and_do_not_come_back(team):
    assert share(team).status_code == 201
    members = f"projects/{team.project}/members"
    assert team("owner", "DELETE", f"{members}/member@x.org").status_code == 200
    again = {"email": "member@x.org", "role": "member"}
    assert team("owner", "POST", members, json=again).status_code == 201
    assert received(team, "viewer") == []
