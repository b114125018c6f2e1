"""Requests for more: who may grant them, what a grant does, and that it does so once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.notices.conftest import ok
from tests.shapes import failed


def set_budget(team, caller, usd):
    body = {"budget": {"total_allocated": usd}}
    ok(team(caller, "PUT", f"projects/{team.project}", json=body))


def budget_of(team):
    [project] = [p for p in ok(team("operator", "GET", "projects")) if p["id"] == team.project]
    return project["budget"]["total_allocated"]


def ask(team, caller, kind, **fields):
    return team(caller, "POST", "requests", json={"kind": kind, **fields})


def told(team, caller):
    team.daemon.notice_parts.collector.collect()
    listed = ok(team(caller, "GET", "notices"))["notices"]
    return [row["title"] for row in listed if row["kind"] == "request"]


def test_owner_grants_money_of_a_budget_that_owners_have_set(team):
    set_budget(team, "owner", 100)
    request = ok(ask(team, "member", "money", usd=50, project="Reef", reason="GPUs"))
    assert (request["summary"], request["decider"]) == ("$50.00 more for project Reef", "owners")
    assert told(team, "owner") == ["member@x.org requests $50.00 more for project Reef"]
    path = f"requests/{request['id']}/grant"
    failed(team("admin", "POST", path), 403, "PERMISSION_DENIED")
    failed(team("member", "POST", path), 403, "PERMISSION_DENIED")
    granted = ok(team("owner", "POST", path))
    assert (granted["state"], granted["decided_by"]) == ("granted", "owner@x.org")
    assert budget_of(team) == 150
    title = "owner@x.org granted your request: $50.00 more for project Reef"
    assert told(team, "member") == [title]
    failed(team("owner", "POST", path), 409, "REQUEST_DECIDED")
    assert budget_of(team) == 150


def test_owner_cannot_grant_over_the_operators_budget(team):
    set_budget(team, "operator", 100)
    request = ok(ask(team, "owner", "money", usd=50, project="Reef"))
    assert request["decider"] == "operator"
    assert told(team, "operator") == ["owner@x.org requests $50.00 more for project Reef"]
    for caller in ("owner", "admin"):
        failed(team(caller, "POST", f"requests/{request['id']}/grant"), 403, "PERMISSION_DENIED")
    assert budget_of(team) == 100
    ok(team("operator", "POST", f"requests/{request['id']}/grant"))
    assert budget_of(team) == 150


def test_budget_that_the_operator_has_set_meanwhile_is_not_raised_by_an_owner(team):
    set_budget(team, "owner", 100)
    request = ok(ask(team, "member", "money", usd=50, project="Reef"))
    set_budget(team, "operator", 100)
    failed(team("owner", "POST", f"requests/{request['id']}/grant"), 403, "PERMISSION_DENIED")
    assert budget_of(team) == 100
    [row] = ok(team("member", "GET", "requests"))["requests"]
    assert row["state"] == "pending"


def test_operator_grants_money_of_an_allocation(team):
    by = {"created_by": "ada@x.org"}
    pool = {"name": "grant", "total_amount": 1000, "period": "project", **by}
    ok(team("operator", "POST", "budgets", json=pool))
    part: dict[str, object] = {"budget_id": "grant", "project_id": "Reef", "allocated_amount": 100}
    part["allocated_by"] = "ada@x.org"
    ok(team("operator", "POST", "allocations", json=part))
    request = ok(ask(team, "owner", "money", usd=50, project="Reef"))
    failed(team("owner", "POST", f"requests/{request['id']}/grant"), 403, "PERMISSION_DENIED")
    ok(team("operator", "POST", f"requests/{request['id']}/grant"))
    [row] = ok(team("operator", "GET", "budgets/grant/allocations"))["allocations"]
    assert row["allocated_amount"] == 150
    too_much = ok(ask(team, "owner", "money", usd=5000, project="Reef"))
    failed(team("operator", "POST", f"requests/{too_much['id']}/grant"), 409, "OVER_ALLOCATED")


def test_nothing_is_requested_of_a_project_without_a_limit(team):
    failed(ask(team, "member", "money", usd=50, project="Reef"), 409, "NOTHING_TO_RAISE")


def test_default_of_everybody_becomes_a_higher_limit_of_the_person(team):
    default = {"person": "*", "monthly": 20, "workspaces": 2, "gpus": 1}
    ok(team("operator", "PUT", "limits", json=default))
    request = ok(ask(team, "member", "workspaces", count=3))
    ok(team("operator", "POST", f"requests/{request['id']}/grant"))
    [use] = ok(team("member", "GET", "limits/mine"))["limits"]
    limit = use["limit"]
    assert (limit["subject"], limit["workspaces"]) == ("member@x.org", 5)
    assert (limit["monthly"], limit["gpus"]) == (20, 1), "the default's other values still limit"
    [other] = ok(team("viewer", "GET", "limits/mine"))["limits"]
    assert other["limit"]["workspaces"] == 2


def test_limit_is_raised_by_who_has_set_it(team):
    own = {"person": "member@x.org", "project": "Reef", "monthly": 10}
    ok(team("owner", "PUT", "limits", json=own))
    request = ok(ask(team, "member", "money", usd=5))
    assert request["decider"] == "owners"
    failed(team("operator", "POST", f"requests/{request['id']}/grant"), 403, "PERMISSION_DENIED")
    ok(team("owner", "POST", f"requests/{request['id']}/grant"))
    ok(team("operator", "PUT", "limits", json={"person": "member@x.org", "monthly": 3}))
    assert ask(team, "member", "money", usd=5).status_code == 422, "which of the two?"
    [mine] = [
        use["limit"]["id"]
        for use in ok(team("member", "GET", "limits/mine"))["limits"]
        if use["limit"]["by_operator"]
    ]
    second = ok(ask(team, "member", "money", usd=5, limit=mine))
    failed(team("owner", "POST", f"requests/{second['id']}/grant"), 404, "REQUEST_NOT_FOUND")
    ok(team("operator", "POST", f"requests/{second['id']}/grant"))
    limits = [
        use["limit"]["monthly"] for use in ok(team("member", "GET", "limits/mine"))["limits"]
    ]
    assert sorted(limits) == [8, 15]


def test_manager_grants_time_and_size_of_a_workspace(team, clock):
    ok(team.launch("member", "mine", ttl_hours=4))
    team.daemon.settle()
    before = ok(team("member", "GET", "instances/mine"))
    longer = ok(ask(team, "viewer", "time", hours=24, workspace="mine"))
    assert longer["summary"] == "24 h more for mine"
    failed(team("member", "POST", f"requests/{longer['id']}/grant"), 403, "PERMISSION_DENIED")
    ok(team("admin", "POST", f"requests/{longer['id']}/grant"))
    after = ok(team("member", "GET", "instances/mine"))
    assert (before["expires_at"], after["expires_at"]) == (
        "2026-01-01T04:00:00Z",
        "2026-01-02T04:00:00Z",
    )
    larger = ok(ask(team, "member", "size", size="XL", workspace="mine"))
    refused = team("admin", "POST", f"requests/{larger['id']}/grant")
    failed(refused, 409, "INVALID_STATE")
    ok(team("member", "POST", "instances/mine/stop"))
    team.daemon.settle()
    clock.advance(minutes=5)
    team.daemon.settle()
    ok(team("admin", "POST", f"requests/{larger['id']}/grant"))
    resized = ok(team("member", "GET", "instances/mine"))
    assert resized["instance_type"] != before["instance_type"]


def test_refusal_has_a_reason_and_changes_nothing(team):
    set_budget(team, "owner", 100)
    request = ok(ask(team, "member", "money", usd=50, project="Reef"))
    body = {"reason": "not this year"}
    refused = ok(team("owner", "POST", f"requests/{request['id']}/refuse", json=body))
    assert (refused["state"], refused["answer"]) == ("refused", "not this year")
    assert budget_of(team) == 100
    assert told(team, "member") == [
        "owner@x.org refused your request: $50.00 more for project Reef"
    ]
    failed(team("owner", "POST", f"requests/{request['id']}/grant"), 409, "REQUEST_DECIDED")


def test_person_withdraws_their_own_request_only(team):
    set_budget(team, "owner", 100)
    request = ok(ask(team, "member", "money", usd=50, project="Reef"))
    failed(team("viewer", "DELETE", f"requests/{request['id']}"), 403, "PERMISSION_DENIED")
    failed(team("owner", "DELETE", f"requests/{request['id']}"), 403, "PERMISSION_DENIED")
    failed(team("outside", "DELETE", f"requests/{request['id']}"), 404, "REQUEST_NOT_FOUND")
    assert ok(team("member", "DELETE", f"requests/{request['id']}"))["state"] == "withdrawn"
    failed(team("owner", "POST", f"requests/{request['id']}/grant"), 409, "REQUEST_DECIDED")


def test_lists_show_own_requests_and_those_that_one_may_answer(team):
    set_budget(team, "owner", 100)
    ok(ask(team, "member", "money", usd=50, project="Reef"))
    counts = {
        caller: ok(team(caller, "GET", "requests?state=pending"))["count"]
        for caller in ("viewer", "member", "admin", "owner", "operator", "outside")
    }
    assert counts == {
        "viewer": 0,
        "member": 1,
        "admin": 0,
        "owner": 1,
        "operator": 1,
        "outside": 0,
    }
    [row] = ok(team("owner", "GET", "requests"))["requests"]
    assert row["may_decide"] is True
    [row] = ok(team("member", "GET", "requests"))["requests"]
    assert row["may_decide"] is False


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "money", "project": "Reef"},
        {"kind": "money", "usd": 5, "hours": 3, "project": "Reef"},
        {"kind": "money", "usd": 5, "workspace": "mine"},
        {"kind": "money", "usd": 5, "project": "Reef", "limit": "limit_1"},
        {"kind": "money", "usd": -5, "project": "Reef"},
        {"kind": "time", "hours": 3},
        {"kind": "time", "hours": 0, "workspace": "mine"},
        {"kind": "size", "size": "huge", "workspace": "mine"},
        {"kind": "gpus", "count": 0},
    ],
)
def test_request_that_makes_no_sense_is_refused(team, body):
    failed(team("member", "POST", "requests", json=body), 422, "VALIDATION_FAILED")


def test_what_one_may_not_see_answers_like_what_does_not_exist(team):
    set_budget(team, "owner", 100)
    ok(team.launch("member", "mine"))
    for name in ("Reef", "Nothing"):
        failed(ask(team, "outside", "money", usd=5, project=name), 404, "PROJECT_NOT_FOUND")
    for name in ("mine", "nothing"):
        answer = ask(team, "outside", "time", hours=5, workspace=name)
        failed(answer, 404, "INSTANCE_NOT_FOUND")


def test_person_has_few_requests_without_an_answer(team):
    set_budget(team, "owner", 100)
    for _ in range(20):
        ok(ask(team, "member", "money", usd=1, project="Reef"))
    failed(ask(team, "member", "money", usd=1, project="Reef"), 409, "TOO_MANY_REQUESTS")


@pytest.mark.postgres
def test_two_people_grant_at_once_and_it_happens_once(team):
    set_budget(team, "owner", 100)
    body = {"email": "second@x.org", "role": "owner"}
    ok(team("operator", "POST", f"projects/{team.project}/members", json=body))
    team.token("second", scope="admin")
    request = ok(ask(team, "member", "money", usd=50, project="Reef"))
    path = f"requests/{request['id']}/grant"
    with ThreadPoolExecutor(8) as threads:
        callers = ["owner", "second"] * 4
        answers = [*threads.map(lambda caller: team(caller, "POST", path), callers)]
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert budget_of(team) == 150
    audit = ok(team("operator", "GET", "audit?event=more_granted"))
    assert len(audit["entries"] if isinstance(audit, dict) else audit) == 1
