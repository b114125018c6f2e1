"""The routes of projects, on both databases."""

import pytest

from tests.shapes import EXAMPLES, failed, shaped_like

PROJECTS = "/api/v1/projects"
ASKED = EXAMPLES["POST projects"]["request"]


@pytest.fixture
def created_project(http):
    response = http("POST", PROJECTS, json=ASKED)
    assert response.status_code == 201
    return response.json()


def test_project_list_has_the_shape_of_the_reference(http, created_project):
    listed = shaped_like("GET projects", http("GET", PROJECTS))
    assert listed == [created_project], "the answer to create equals the listed project"
    assert created_project["budget"]["total_allocated"] == 75000.0
    assert created_project["budget"]["remaining"] == 75000.0
    assert created_project["budget"]["monthly_burn_rate"] is None, "less than an hour of costs"
    assert created_project["members"] == [
        {
            "email": "climate.lead@university.edu",
            "role": "owner",
            "join_date": created_project["created_at"],
            "until": None,
            "at_end": None,
            "to": None,
        }
    ]


def test_project_can_be_requested_by_id_and_name(http, created_project):
    for name in (created_project["id"], "Climate%20Modeling%20Project"):
        assert http("GET", f"{PROJECTS}/{name}").json() == created_project
    failed(http("GET", f"{PROJECTS}/nobody"), 404, "PROJECT_NOT_FOUND")


def test_project_name_must_differ_from_other_names_and_ids(http, created_project):
    failed(http("POST", PROJECTS, json={"name": created_project["name"]}), 409, "ALREADY_EXISTS")
    failed(http("POST", PROJECTS, json={"name": created_project["id"]}), 409, "ALREADY_EXISTS")


def test_project_may_have_a_name_like_another_in_local_mode(http):
    for name in ("Reef", "REEF", "R\u0435\u0435f"):
        assert http("POST", PROJECTS, json={"name": name}).status_code == 201


def test_project_without_a_budget_has_defaults_and_its_creator_as_owner(http):
    project = http("POST", PROJECTS, json={"name": "Thesis"}).json()
    assert project["budget"] == {
        "total_allocated": None,
        "current_spend": 0.0,
        "remaining": None,
        "spent": 0.0,
        "reserved": 0.0,
        "left": None,
        "monthly_burn_rate": None,
        "alert_threshold": 80.0,
        "auto_hibernate_threshold": None,
        "prevent_launch_threshold": 100.0,
    }
    assert [(member["email"], member["role"]) for member in project["members"]] == [
        ("ada", "owner")
    ]


def test_change_keeps_omitted_fields(http, created_project):
    changed = http(
        "PUT", f"{PROJECTS}/{created_project['id']}", json={"budget": {"alert_threshold": 50}}
    ).json()
    assert changed == created_project | {
        "budget": created_project["budget"] | {"alert_threshold": 50.0}
    }
    uncapped = http(
        "PUT", f"{PROJECTS}/{created_project['id']}", json={"budget": {"total_allocated": None}}
    )
    assert uncapped.json()["budget"]["total_allocated"] is None


def test_change_to_the_name_of_another_project_is_refused(http, created_project):
    http("POST", PROJECTS, json={"name": "Other"})
    failed(
        http("PUT", f"{PROJECTS}/{created_project['id']}", json={"name": "Other"}),
        409,
        "ALREADY_EXISTS",
    )


def test_deleted_project_is_not_listed(http, created_project):
    answer = http("DELETE", f"{PROJECTS}/{created_project['id']}")
    assert answer.json() == {"message": "Project 'Climate Modeling Project' deleted successfully"}
    assert http("GET", PROJECTS).json() == []
    failed(http("DELETE", f"{PROJECTS}/{created_project['id']}"), 404, "PROJECT_NOT_FOUND")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"name": ""},
        {"name": " blank"},
        {"name": "x", "budget": {"total_allocated": 0}},
        {"name": "x", "budget": {"total_allocated": 1e-9}},
        {"name": "x", "budget": {"alert_threshold": 101}},
        {"name": "x", "members": [{"email": "nobody"}]},
        {"name": "x", "members": [{"email": "a@b.c"}, {"email": "A@b.c"}]},
        {"name": "x", "members": [{"email": "a@b.c", "role": "king"}]},
    ],
)
def test_invalid_project_is_refused_and_not_created(http, wrong):
    failed(http("POST", PROJECTS, json=wrong), 422, "VALIDATION_FAILED")
    assert http("GET", PROJECTS).json() == []


def test_each_change_of_a_project_is_recorded_as_an_event(http, daemon, created_project):
    http("PUT", f"{PROJECTS}/{created_project['id']}", json={"description": "x"})
    http("PUT", f"{PROJECTS}/{created_project['id']}", json={"description": "x"})
    http("DELETE", f"{PROJECTS}/{created_project['id']}")
    facts = [
        f for f in daemon.db.events_after(0) if f.data.get("project") == created_project["id"]
    ]
    assert [fact.event for fact in facts] == [
        "project_created",
        "member_joined",
        "project_changed",
        "project_deleted",
    ]
