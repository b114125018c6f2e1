"""Requests for more do not give more than somebody granted, and nobody hides those of others."""

import pytest

from tests.access.people import Team
from tests.conftest import Http
from tests.notices.conftest import ok
from tests.shapes import failed


@pytest.fixture
def team(make_daemon):
    daemon = make_daemon(auth="tokens", user="ada@x.org")
    return Team(daemon, Http(daemon.app))


def ask(team, caller, kind, **fields):
    return ok(team(caller, "POST", "requests", json={"kind": kind, **fields}))


def grant(team, caller, request):
    return team(caller, "POST", f"requests/{request['id']}/grant")


def limits_of(team, caller):
    limits = [use["limit"] for use in ok(team(caller, "GET", "limits/mine"))["limits"]]
    return [(row["subject"], row["monthly"], row["workspaces"], row["gpus"]) for row in limits]


def test_one_more_workspace_does_not_lift_another_default(team):
    """An own limit replaces all defaults in its place, also the dollars of the role."""
    ok(team("operator", "PUT", "limits", json={"person": "*", "workspaces": 2, "gpus": 3}))
    ok(team("operator", "PUT", "limits", json={"role": "member", "monthly": 20, "gpus": 1}))
    ok(team("operator", "PUT", "limits", json={"role": "admin", "monthly": 5}))
    ok(grant(team, "operator", ask(team, "member", "workspaces", count=1)))
    assert limits_of(team, "member") == [("member@x.org", 20, 3, 1)]


def test_second_grant_of_a_default_keeps_the_first(team):
    ok(team("operator", "PUT", "limits", json={"person": "*", "workspaces": 2, "gpus": 1}))
    requests = [
        ask(team, "member", "workspaces", count=5),
        ask(team, "member", "gpus", count=1),
        ask(team, "member", "workspaces", count=1),
    ]
    for request in requests:
        ok(grant(team, "operator", request))
    assert limits_of(team, "member") == [("member@x.org", None, 8, 2)]


def test_grant_adds_to_the_limit_that_was_set_after_the_request(team):
    ok(team("operator", "PUT", "limits", json={"person": "*", "workspaces": 5}))
    request = ask(team, "member", "workspaces", count=2)
    ok(team("operator", "PUT", "limits", json={"person": "member@x.org", "workspaces": 0}))
    ok(grant(team, "operator", request))
    assert limits_of(team, "member") == [("member@x.org", None, 2, None)]


def test_admin_of_the_former_project_grants_nothing_of_a_moved_workspace(team):
    """There, the admin is a viewer, who may not let others' workspaces run longer."""
    new = {"email": "admin@x.org", "role": "viewer"}
    other = ok(team("operator", "POST", "projects", json={"name": "Sand"}))["id"]
    ok(team("operator", "POST", f"projects/{other}/members", json=new))
    new = {"email": "member@x.org", "role": "member"}
    ok(team("operator", "POST", f"projects/{other}/members", json=new))
    ok(team.launch("member", "mine", ttl_hours=4))
    team.daemon.settle()
    longer = ask(team, "admin", "time", hours=5000, workspace="mine")
    larger = ask(team, "admin", "size", size="XL", workspace="mine")
    ok(team("operator", "POST", "instances/mine/move", json={"project": "Sand"}))
    before = ok(team("member", "GET", "instances/mine"))
    extend = team("admin", "POST", "instances/mine/extend", json={"hours": 5000})
    failed(extend, 403, "PERMISSION_DENIED")
    for request in (longer, larger):
        failed(grant(team, "admin", request), 409, "NOTHING_TO_RAISE")
    assert ok(team("member", "GET", "instances/mine"))["expires_at"] == before["expires_at"]


def test_requests_that_were_withdrawn_do_not_hide_others(team, clock):
    ok(team("owner", "PUT", f"projects/{team.project}", json={"budget": {"total_allocated": 9}}))
    request = ask(team, "member", "money", usd=5, project="Reef")
    for _ in range(501):
        clock.advance(seconds=1)
        other = ask(team, "viewer", "money", usd=1, project="Reef")
        ok(team("viewer", "DELETE", f"requests/{other['id']}"))
    for caller in ("owner", "operator"):
        first, *_ = ok(team(caller, "GET", "requests"))["requests"]
        assert first["id"] == request["id"]
    [only] = ok(team("member", "GET", "requests"))["requests"]
    assert only["id"] == request["id"]


def test_grant_that_adds_up_to_too_much_is_refused(team):
    ok(
        team(
            "operator", "PUT", f"projects/{team.project}", json={"budget": {"total_allocated": 9}}
        )
    )
    ok(grant(team, "operator", ask(team, "member", "money", usd=9e11, project="Reef")))
    second = ask(team, "member", "money", usd=9e11, project="Reef")
    failed(grant(team, "operator", second), 422, "VALIDATION_FAILED")
