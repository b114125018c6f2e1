"""The routes of invitations, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Http
from tests.shapes import EXAMPLES, failed, shaped_like

WEEK = 7 * 24 * 3600


def facts(daemon, *names):
    return [f for f in daemon.db.events_after(0) if f.event in names]


def members(http, project):
    listed = http("GET", f"/api/v1/projects/{project}/members").json()
    return {entry["email"]: entry["role"] for entry in listed}


def test_invitation_is_sent_listed_resent_and_accepted_as_in_the_reference(ask, http, project_id):
    body = EXAMPLES["POST invitations/send"]["request"] | {"project_id": project_id}
    sent = shaped_like("POST invitations/send", ask("POST", "send", **body), 201)
    assert sent["expires_at"] == "2026-01-08T00:00:00Z"
    id, email = sent["id"], body["email"]
    listed = shaped_like(
        "GET invitations/project/{project_id}", ask("GET", f"project/{project_id}")
    )
    assert [invitation["status"] for invitation in listed["invitations"]] == ["pending"]
    assert "token" not in listed["invitations"][0]
    invitation = shaped_like("GET invitations/{invitation_id}", ask("GET", id))
    assert (invitation["token"], invitation["project_name"]) == (sent["token"], "Reef")
    resent = shaped_like("POST invitations/{invitation_id}/resend", ask("POST", f"{id}/resend"))
    assert resent["resend_count"] == 1
    token = ask("GET", id).json()["token"]
    accepted = ask("POST", f"{id}/accept", token=token)
    shaped_like("POST invitations/{invitation_id}/accept", accepted)
    assert members(http, project_id)[email] == "admin"
    after = ask("GET", id).json()
    assert (after["token"], after["status"]) == (None, "accepted")


def test_declined_or_revoked_invitation_cannot_be_resent_or_accepted(
    ask, http, project_id, sent_invitation
):
    body = {"token": sent_invitation["token"], "reason": "busy"}
    declined = ask("POST", f"{sent_invitation['id']}/decline", **body)
    shaped_like("POST invitations/{invitation_id}/decline", declined)
    failed(ask("DELETE", sent_invitation["id"]), 409, "INVITATION_ANSWERED")
    failed(ask("POST", f"{sent_invitation['id']}/resend"), 409, "INVITATION_ANSWERED")
    other = ask("POST", "send", project_id="Reef", email="eve@x.org").json()
    shaped_like("DELETE invitations/{invitation_id}", ask("DELETE", other["id"]))
    failed(ask("POST", f"{other['id']}/accept", token=other["token"]), 409, "INVITATION_ANSWERED")
    assert set(members(http, project_id)) == {"ada"}
    for status, count in (("declined", 1), ("revoked", 1), ("pending", 0), (None, 2)):
        query = f"?status={status}" if status else ""
        assert ask("GET", f"project/{project_id}{query}").json()["count"] == count


def test_own_invitations_are_those_to_the_address_of_the_user(make_daemon):
    http = Http(make_daemon(user="ada@x.org").app)
    http(
        "POST",
        "/api/v1/projects",
        json={"name": "P", "members": [{"email": "o@x.org", "role": "owner"}]},
    )
    for email in ("ADA@x.org", "eve@x.org"):
        body = {"project_id": "P", "email": email}
        assert http("POST", "/api/v1/invitations/send", json=body).status_code == 201
    mine = shaped_like("GET invitations/me", http("GET", "/api/v1/invitations/me"))
    assert [invitation["email"] for invitation in mine["invitations"]] == ["ada@x.org"]
    assert http("GET", "/api/v1/invitations/me?status=accepted").json()["count"] == 0


def test_accept_checks_id_then_body_then_token_then_expiry_then_status(
    ask, clock, sent_invitation
):
    accept = f"{sent_invitation['id']}/accept"
    failed(ask("POST", "inv_none/accept", token="x"), 404, "INVITATION_NOT_FOUND")
    failed(ask("POST", accept), 422, "VALIDATION_FAILED")
    failed(ask("POST", accept, token="x"), 403, "INVITATION_TOKEN_INVALID")
    clock.advance(seconds=WEEK - 1)
    assert ask("GET", sent_invitation["id"]).json()["status"] == "pending"
    clock.advance(seconds=1)
    assert ask("GET", sent_invitation["id"]).json()["status"] == "expired"
    failed(ask("POST", accept, token="x"), 403, "INVITATION_TOKEN_INVALID")
    failed(ask("POST", accept, token=sent_invitation["token"]), 410, "INVITATION_EXPIRED")
    ask("DELETE", sent_invitation["id"])
    failed(ask("POST", accept, token=sent_invitation["token"]), 409, "INVITATION_ANSWERED")


def test_resent_expired_invitation_is_accepted_only_with_its_new_token(
    ask, clock, sent_invitation
):
    clock.advance(days=8)
    assert ask("POST", f"{sent_invitation['id']}/resend").status_code == 200
    failed(
        ask("POST", f"{sent_invitation['id']}/accept", token=sent_invitation["token"]),
        403,
        "INVITATION_TOKEN_INVALID",
    )
    token = ask("GET", sent_invitation["id"]).json()["token"]
    assert ask("POST", f"{sent_invitation['id']}/accept", token=token).status_code == 200


def test_token_of_another_invitation_is_rejected(ask, project_id, sent_invitation):
    other = ask("POST", "send", project_id=project_id, email="eve@x.org").json()
    wrong = ask("POST", f"{sent_invitation['id']}/accept", token=other["token"])
    failed(wrong, 403, "INVITATION_TOKEN_INVALID")
    assert ask("GET", sent_invitation["id"]).json()["status"] == "pending"


@pytest.mark.postgres
def test_invitation_accepted_fifty_times_at_once_adds_one_member(
    ask, http, daemon, project_id, sent_invitation
):
    with ThreadPoolExecutor(50) as invite_many:
        answers = [
            invite_many.submit(
                ask, "POST", f"{sent_invitation['id']}/accept", token=sent_invitation["token"]
            )
            for _ in range(50)
        ]
        codes = sorted(answer.result().status_code for answer in answers)
    assert codes == [200] + [409] * 49
    assert members(http, project_id)["bob@x.org"] == "member"
    assert len(facts(daemon, "invitation_accepted")) == 1
    assert [f.data["email"] for f in facts(daemon, "member_joined")] == ["ada", "bob@x.org"]


def test_failed_accept_adds_no_member_and_leaves_the_invitation_pending(
    ask, daemon, http, project_id, sent_invitation, monkeypatch
):
    def broken(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr(daemon.invitations, "_close", broken)
    assert (
        ask("POST", f"{sent_invitation['id']}/accept", token=sent_invitation["token"]).status_code
        == 500
    )
    assert set(members(http, project_id)) == {"ada"}
    assert ask("GET", sent_invitation["id"]).json()["status"] == "pending"


def test_invitation_to_a_person_who_is_added_is_revoked(ask, http, project_id):
    for role in ("viewer", "owner"):
        sent = ask("POST", "send", project_id=project_id, email=f"{role}@x.org", role=role).json()
        body = {"email": f"{role}@x.org", "role": "admin"}
        assert http("POST", f"/api/v1/projects/{project_id}/members", json=body).status_code == 201
        refused = ask("POST", f"{sent['id']}/accept", token=sent["token"])
        failed(refused, 409, "INVITATION_ANSWERED")
        assert members(http, project_id)[f"{role}@x.org"] == "admin"


def test_accepted_invitation_revokes_another_one_that_had_expired(ask, http, clock, project_id):
    first = ask("POST", "send", project_id=project_id, email="eve@x.org", role="admin").json()
    clock.advance(days=8)
    second = ask("POST", "send", project_id=project_id, email="eve@x.org", role="viewer").json()
    assert ask("POST", f"{first['id']}/resend").status_code == 200
    assert ask("POST", f"{second['id']}/accept", token=second["token"]).status_code == 200
    state = http("GET", f"/api/v1/invitations/{first['id']}").json()["status"]
    assert (state, members(http, project_id)["eve@x.org"]) == ("revoked", "viewer")


def test_second_invitation_to_an_address_is_refused_until_the_first_expires(
    ask, clock, project_id, sent_invitation
):
    again = {"project_id": project_id, "email": "bob@X.ORG"}
    failed(ask("POST", "send", **again), 409, "ALREADY_EXISTS")
    clock.advance(days=8)
    assert ask("POST", "send", **again).status_code == 201
    failed(ask("POST", "send", project_id="none", email="a@x.org"), 404, "PROJECT_NOT_FOUND")


def test_invitation_to_an_invalid_address_is_refused(ask, project_id):
    broken = "", "bob", "bob@", "@x.org", "a b@x.org", "a@x.org\nBcc: b@x.org", "A <a@x.org>"
    for email in broken:
        failed(ask("POST", "send", project_id=project_id, email=email), 422, "VALIDATION_FAILED")


def test_bulk_invitation_reports_each_row_and_a_dry_run_sends_none(
    ask, http, project_id, sent_invitation
):
    body = EXAMPLES["POST invitations/bulk"]["request"] | {"project_id": project_id}
    extra = [{"email": "bob@x.org"}, {"email": "ada@@x"}, {"email": "TA@university.edu"}]
    body["invitations"] = [*body["invitations"], *extra]
    planned = ask("POST", "bulk", **body, dry_run=True).json()
    assert ask("GET", f"project/{project_id}").json()["count"] == 1, (
        "a dry run sends no invitation"
    )
    done = shaped_like("POST invitations/bulk", ask("POST", "bulk", **body))
    assert done["summary"] == planned["summary"]
    assert done["summary"] == {"total": 6, "sent": 3, "failed": 1, "skipped": 2}
    assert [result["status"] for result in done["results"]] == ["sent"] * 3 + [
        "skipped",
        "failed",
        "skipped",
    ]
    assert done["results"][3]["reason"] == "already invited"
    assert done["results"][4]["error"]
    roles = {
        invitation["email"]: (invitation["role"], invitation["message"])
        for invitation in ask("GET", f"project/{project_id}").json()["invitations"]
    }
    assert roles["ta@university.edu"] == ("admin", "TA access for ML course")
    assert roles["student1@university.edu"][1] == "Welcome to the ML course project!"


@pytest.mark.parametrize("dry", [True, False])
def test_bulk_invitation_fails_only_the_invalid_rows(ask, project_id, dry):
    guests = [
        {"email": ""},
        {"email": "a@x.org", "role": "Student"},
        {"email": "b@x.org", "role": ""},
        {"email": f"{'c' * 400}@x.org"},
        {"email": "d@x.org", "message": "x" * 2001},
        {"email": "e@x.org", "role": "viewer", "message": "x" * 2000},
    ]
    answer = ask("POST", "bulk", project_id=project_id, invitations=guests, dry_run=dry)
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert done["summary"] == {"total": 6, "sent": 1, "failed": 5, "skipped": 0}
    why = [result["error"] for result in done["results"]]
    assert [result["email"] for result in done["results"]] == [guest["email"] for guest in guests]
    assert "@-sign" in why[0] and "too long" in why[3] and "2000 characters" in why[4]
    assert why[1] == "role: 'Student' is none of viewer, member, admin, owner"
    assert why[2].startswith("role: ''")
    assert ask("GET", f"project/{project_id}").json()["count"] == (0 if dry else 1)
    failed(
        ask("POST", "bulk", project_id=project_id, invitations=[{"email": 5}]),
        422,
        "VALIDATION_FAILED",
    )


def test_invitations_are_limited_per_request_and_per_day(ask, clock, project_id):
    def invite_many(count, letter="a"):
        guests = [{"email": f"{letter}{n}@x.org"} for n in range(count)]
        return ask("POST", "bulk", project_id=project_id, invitations=guests)

    failed(invite_many(501), 422, "VALIDATION_FAILED")
    same = ask("POST", "bulk", project_id=project_id, invitations=[{"email": "a0@x.org"}] * 500)
    assert same.json()["summary"] == {"total": 500, "sent": 1, "failed": 0, "skipped": 499}
    assert invite_many(500).json()["summary"]["sent"] == 499
    failed(invite_many(501, "b"), 422, "VALIDATION_FAILED")
    assert invite_many(499, "b").status_code == 200
    failed(invite_many(2, "c"), 409, "INVITATION_LIMIT")
    clock.advance(hours=25)
    assert invite_many(2, "c").status_code == 200


def test_resends_of_an_invitation_are_limited(ask, sent_invitation):
    for _ in range(10):
        assert ask("POST", f"{sent_invitation['id']}/resend").status_code == 200
    failed(ask("POST", f"{sent_invitation['id']}/resend"), 409, "INVITATION_LIMIT")


@pytest.fixture
def daemon(make_daemon, tmp_path):
    return make_daemon(home=str(tmp_path))


def test_invitation_token_is_stored_in_no_table(ask, http, daemon, project_id):
    body = {"project_id": project_id, "email": "bob@x.org"}
    first, again = (
        http("POST", "/api/v1/invitations/send", {"Idempotency-Key": "k"}, json=body)
        for _ in range(2)
    )
    token = first.json()["token"]
    assert again.json() == first.json() | {"token": None}
    ask("POST", f"{first.json()['id']}/accept", token=token)
    daemon.settle()
    with daemon.db.read() as sql:
        raw = sql.connection.driver_connection
        rows = raw.execute("SELECT * FROM events").fetchall()
        rows += raw.execute("SELECT * FROM idempotency_keys").fetchall()
        rows += raw.execute("SELECT * FROM invitations").fetchall()
        rows += raw.execute("SELECT * FROM invitation_mails").fetchall()
    assert rows
    assert token not in repr(rows)
