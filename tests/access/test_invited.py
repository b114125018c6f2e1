"""An invitation that its sender could no longer send is revoked."""

import pytest

from tests.shapes import failed


def send(team, caller, email, role):
    sent = team.invite(caller, email, role=role)
    assert sent.status_code == 201, sent.text
    team.token(email.partition("@")[0], scope="admin")
    return sent.json()


def accept(team, sent):
    caller, body = sent["email"].partition("@")[0], {"token": sent["token"]}
    return team(caller, "POST", f"invitations/{sent['id']}/accept", json=body)


def member(team, method, user, **body):
    answer = team("owner", method, f"projects/Reef/members/{user}@x.org", **body)
    assert answer.status_code == 200, answer.text


def test_invitations_of_a_removed_admin_are_revoked(team):
    back, eve = (send(team, "admin", f"{name}2@x.org", name) for name in ("admin", "viewer"))
    invitation = send(team, "owner", "owners@x.org", "admin")
    member(team, "DELETE", "admin")
    for sent in (back, eve):
        failed(accept(team, sent), 409, "INVITATION_ANSWERED")
        seen = team("owner", "GET", f"invitations/{sent['id']}").json()
        assert seen["status"] == "revoked"
    revocations = team("owner", "GET", "audit?event=invitation_revoked").json()
    assert {revocation["actor"] for revocation in revocations} == {"owner@x.org"}
    assert {revocation["data"]["email"] for revocation in revocations} == {
        back["email"],
        eve["email"],
    }
    assert accept(team, invitation).status_code == 200


@pytest.mark.parametrize(("role", "left"), [("admin", {"an", "a"}), ("member", set())])
def test_invitations_above_the_new_role_of_their_sender_are_revoked(team, role, left):
    team.token("second", scope="admin")
    body = {"email": "second@x.org", "role": "owner"}
    assert team("operator", "POST", "projects/Reef/members", json=body).status_code == 201
    offered = {"the": "owner", "an": "admin", "a": "viewer"}
    sent = {name: send(team, "second", f"{name}@x.org", role) for name, role in offered.items()}
    member(team, "PUT", "second", json={"role": role})
    taken = {name for name, message in sent.items() if accept(team, message).status_code == 200}
    assert taken == left


def test_invitation_survives_the_promotion_of_its_sender(team):
    sent = send(team, "admin", "new@x.org", "admin")
    member(team, "PUT", "admin", json={"role": "owner"})
    assert accept(team, sent).status_code == 200


def test_invitation_of_the_operator_survives_leaving_the_project(team):
    sent = send(team, "operator", "new@x.org", "owner")
    member(team, "DELETE", "ada")
    assert accept(team, sent).status_code == 200


def test_invitation_survives_the_removal_of_its_sender_in_local_mode(http):
    owners = [{"email": text, "role": "owner"} for text in ("ada@x.org", "bob@x.org")]
    http("POST", "/api/v1/projects", json={"name": "P", "members": owners})
    invitation = {"project_id": "P", "email": "eve@x.org", "invited_by": "bob@x.org"}
    sent = http("POST", "/api/v1/invitations/send", json=invitation).json()
    assert http("DELETE", "/api/v1/projects/P/members/bob@x.org").status_code == 200
    body = {"token": sent["token"]}
    accepted = http("POST", f"/api/v1/invitations/{sent['id']}/accept", json=body)
    assert accepted.status_code == 200, accepted.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("projects/Reef/members", {"email": "eve@x.org", "role": "member"}),
        ("projects", {"name": "Trap", "members": [{"email": "eve@x.org", "role": "member"}]}),
    ],
)
def test_where_everybody_makes_projects_a_person_agrees_to_become_a_member(team, path, body):
    """What is launched for a project counts for limits of its members."""
    problem = failed(team("owner", "POST", path, json=body), 403, "PERMISSION_DENIED")
    assert "prism invite send" in problem["remediation"]
    team.token("eve", scope="admin")
    assert team("eve", "GET", "projects").json() == []
    sent = team.invite("owner", "eve@x.org", role="member").json()
    assert team("eve", "GET", "projects").json() == [], "an invitation alone is not enough"
    accepted = team(
        "eve", "POST", f"invitations/{sent['id']}/accept", json={"token": sent["token"]}
    )
    assert accepted.status_code == 200
    assert [project["name"] for project in team("eve", "GET", "projects").json()] == ["Reef"]


def test_operator_adds_people_unasked_and_owners_make_projects_for_themselves(team):
    body = {"email": "eve@x.org", "role": "member"}
    assert team("operator", "POST", "projects/Reef/members", json=body).status_code == 201
    own = {"name": "Mine", "members": [{"email": "Owner@x.org", "role": "owner"}]}
    assert team("owner", "POST", "projects", json=own).status_code == 201


@pytest.mark.parametrize("team", [{"project_creation": "operator"}], indirect=True)
def test_where_the_operator_makes_projects_their_owners_add_people(team):
    body = {"email": "eve@x.org", "role": "member"}
    assert team("owner", "POST", "projects/Reef/members", json=body).status_code == 201
