"""The routes of profiles, in the shapes of the reference."""

import pytest

from tests.shapes import failed, shaped_like
from tests.workspaces.test_api import settle

LAB = {"name": "lab", "provider": "aws", "aws_profile": "lab", "region": "us-west-2"}


@pytest.fixture
def lab_profile(http):
    answer = http("POST", "/api/v1/profiles", json=LAB)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_profiles_are_listed_and_switched_as_in_the_reference(http, lab_profile):
    listed = shaped_like("GET profiles", http("GET", "/api/v1/profiles"))
    assert {p["name"]: p["active"] for p in listed} == {"lab": False, "local": True}
    assert [p for p in listed if p["name"] == "lab"] == [lab_profile]
    current = shaped_like("GET profiles/current", http("GET", "/api/v1/profiles/current"))
    assert (current["name"], current["provider"], current["aws_profile"]) == (
        "local",
        "local",
        None,
    )
    switched = http("POST", "/api/v1/profiles/switch", json={"profile_name": "lab"})
    assert shaped_like("GET profiles/current", switched)["name"] == "lab"
    assert http("GET", "/api/v1/profiles/current").json() == switched.json()


def test_profile_is_changed_and_deleted(http, lab_profile):
    changed = http("PUT", "/api/v1/profiles/lab", json={"default_project": "cs101"})
    assert changed.json() == lab_profile | {"default_project": "cs101"}
    deleted = http("DELETE", "/api/v1/profiles/lab")
    assert deleted.status_code == 200
    assert deleted.json() == {"message": "Profile 'lab' deleted successfully"}
    failed(http("DELETE", "/api/v1/profiles/lab"), 404, "PROFILE_NOT_FOUND")


def test_refused_profile_request_names_the_reason_or_the_command(http, lab_profile):
    active = failed(http("DELETE", "/api/v1/profiles/local"), 409, "IN_USE")
    assert "`prism profile switch lab`" in active["remediation"]
    failed(http("POST", "/api/v1/profiles", json=LAB), 409, "ALREADY_EXISTS")
    failed(http("PUT", "/api/v1/profiles/nope", json={}), 404, "PROFILE_NOT_FOUND")
    nope = http("POST", "/api/v1/profiles/switch", json={"profile_name": "nope"})
    failed(nope, 404, "PROFILE_NOT_FOUND")


def test_profile_in_use_by_a_workspace_cannot_be_deleted(http, daemon, clock):
    http("POST", "/api/v1/profiles", json={"name": "here", "provider": "local"})
    http("POST", "/api/v1/profiles/switch", json={"profile_name": "here"})
    assert http.launch().json()["state"] == "launching"
    http("POST", "/api/v1/profiles/switch", json={"profile_name": "local"})
    refused = failed(http("DELETE", "/api/v1/profiles/here"), 409, "IN_USE")
    assert refused["details"] == "1 workspaces were launched with it"
    settle(daemon, clock)
    http.post("mine", "terminate", json={"confirm": "DELETE", "backup_ebs": False})
    settle(daemon, clock)
    assert http("DELETE", "/api/v1/profiles/here").status_code == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "name"),
        ({"name": "x"}, "provider"),
        ({"name": "x", "provider": "gcp"}, "provider"),
        ({"name": "a/b", "provider": "aws"}, "name"),
        ({"name": "current", "provider": "aws"}, "reserved"),
        ({"name": "switch", "provider": "local"}, "reserved"),
        ({"name": "x", "provider": "local", "aws_profile": "lab"}, "aws_profile"),
        ({"name": "x", "provider": "aws", "region": "Oregon"}, "region"),
        ({"name": "x", "provider": "aws", "colour": "red"}, "colour"),
    ],
)
def test_invalid_profile_is_refused_and_not_created(http, body, expected):
    answer = http("POST", "/api/v1/profiles", json=body)
    assert expected in failed(answer, 422, "VALIDATION_FAILED")["details"]
    assert [p["name"] for p in http("GET", "/api/v1/profiles").json()] == ["local"]
