"""The routes of members, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.shapes import failed


class Members:
    """Requests about the members of one project."""

    def __init__(self, http):
        response = http("POST", "/api/v1/projects", json={"name": "Reef"})
        self.http, self.path = http, f"/api/v1/projects/{response.json()['id']}/members"

    def add(self, email, role="member"):
        return self.http("POST", self.path, json={"email": email, "role": role})

    def change(self, email, role):
        return self.http("PUT", f"{self.path}/{email}", json={"role": role})

    def remove(self, email):
        return self.http("DELETE", f"{self.path}/{email}")

    def roles(self):
        return {entry["email"]: entry["role"] for entry in self.http("GET", self.path).json()}


@pytest.fixture
def members(http):
    return Members(http)


def test_member_is_added_changed_and_removed(members, http):
    added = members.add("Bob@x.org", "viewer")
    assert added.status_code == 201
    assert added.json() == {
        "email": "bob@x.org",
        "role": "viewer",
        "join_date": "2026-01-01T00:00:00Z",
        "until": None,
        "at_end": None,
        "to": None,
    }
    failed(members.add("BOB@x.org"), 409, "ALREADY_EXISTS")
    assert members.change("bob@X.org", "admin").json()["role"] == "admin"
    assert http("GET", f"{members.path}/bob@x.org").json()["role"] == "admin"
    removed = members.remove("bob@x.org")
    assert removed.json() == {
        "message": "Member 'bob@x.org' removed successfully",
        "workspaces": [],
        "tokens_revoked": 0,
    }
    failed(members.remove("bob@x.org"), 404, "MEMBER_NOT_FOUND")
    failed(members.change("bob@x.org", "admin"), 404, "MEMBER_NOT_FOUND")
    assert members.roles() == {"ada": "owner"}


def test_last_owner_cannot_leave_or_get_another_role(members):
    for last in (members.remove("ada"), members.change("ada", "admin")):
        refused = failed(last, 409, "LAST_OWNER")
        assert refused["remediation"].endswith("EMAIL --role owner`")
    assert members.add("bob@x.org", "owner").status_code == 201
    assert members.change("ada", "viewer").status_code == 200
    failed(members.remove("bob@x.org"), 409, "LAST_OWNER")
    assert members.roles() == {"ada": "viewer", "bob@x.org": "owner"}


def test_one_of_two_owners_who_leave_at_once_is_refused(members):
    members.add("bob@x.org", "owner")
    with ThreadPoolExecutor(2) as both:
        answers = [both.submit(members.remove, owner) for owner in ("ada", "bob@x.org")]
        codes = sorted(answer.result().status_code for answer in answers)
    assert codes == [200, 409]
    assert [*members.roles().values()] == ["owner"]


def test_invalid_member_is_refused(members):
    for email, role in (("bob", "member"), ("bob@x.org", "king"), ("", "viewer")):
        failed(members.add(email, role), 422, "VALIDATION_FAILED")
    members.path = "/api/v1/projects/none/members"
    failed(members.add("bob@x.org"), 404, "PROJECT_NOT_FOUND")


def test_each_change_of_a_member_is_recorded_with_the_previous_role(members, daemon):
    members.add("bob@x.org")
    members.change("bob@x.org", "member")
    members.change("bob@x.org", "admin")
    members.remove("bob@x.org")
    facts = [f for f in daemon.db.events_after(0) if f.data.get("email") == "bob@x.org"]
    changes = [(f.event, f.data.get("previous_role"), f.data.get("role")) for f in facts]
    assert changes == [
        ("member_joined", None, "member"),
        ("member_changed", "member", "admin"),
        ("member_left", "admin", None),
    ]
    assert {f.actor for f in facts} == {"ada"}
