"""Mail addresses that a reader takes for those of somebody else, or reads in another order.

An owner who sees such an address in the list of members gives the rights of one person to another.
"""

import pytest

from tests.shapes import failed

DECEPTIVE = [
    "member\u202e@x.org",
    "mem\u200bber@x.org",
    "\u0430da@x.org",  # a Cyrillic letter among Latin ones
    "ada@x.\u043erg",
]


def listed(team):
    answer = team("owner", "GET", f"projects/{team.project}/members")
    return {member["email"] for member in answer.json()}


@pytest.mark.parametrize("email", DECEPTIVE)
def test_deceptive_address_is_refused_wherever_people_enter_one(team, email):
    before = listed(team)
    members = f"projects/{team.project}/members"
    add = {"email": email, "role": "member"}
    project = {"name": "Den", "members": [add]}
    token = {"name": "t", "user": email}
    for path, body in (
        (members, add),
        ("projects", project),
        ("tokens", token),
        ("login-links", {"user": email}),
        ("invitations/send", {**add, "project_id": team.project}),
    ):
        fault = failed(team("operator", "POST", path, json=body), 422, "VALIDATION_FAILED")
        assert "email" in fault["details"], (path, fault)
    bulk = {"project_id": team.project, "invitations": [add]}
    answer = team("admin", "POST", "invitations/bulk", json=bulk)
    assert [result["status"] for result in answer.json()["results"]] == ["failed"]
    assert listed(team) == before


@pytest.mark.parametrize("email", ["\u043e\u0440@x.org", "\uff4f\uff50@x.org", "op@x\u3002org"])
def test_address_that_looks_like_that_of_a_member_is_refused(team, email):
    members = f"projects/{team.project}/members"
    plain = {"email": "op@x.org", "role": "viewer"}
    assert team("operator", "POST", members, json=plain).status_code == 201
    twin = {"email": email, "role": "admin"}
    fault = failed(team("operator", "POST", members, json=twin), 422, "VALIDATION_FAILED")
    assert "looks like op@x.org" in fault["details"]
    both = {"name": "Den", "members": [plain, twin]}
    failed(team("operator", "POST", "projects", json=both), 422, "VALIDATION_FAILED")
    bulk = {"project_id": team.project, "invitations": [twin]}
    answer = team("admin", "POST", "invitations/bulk", json=bulk)
    assert [result["status"] for result in answer.json()["results"]] != ["sent"]
    assert listed(team) >= {"op@x.org"}
    assert email not in listed(team)


@pytest.mark.parametrize("email", ["анна@пример.рф", "josé@x.org", "ада@x.org", "名前@x.org"])
def test_honest_address_in_another_script_is_accepted(team, email):
    body = {"email": email, "role": "member"}
    answer = team("operator", "POST", f"projects/{team.project}/members", json=body)
    assert answer.status_code == 201, answer.text
