"""Tokens: their rights, their expiry, and how they are stored."""

import base64
import hmac
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from prism.access import service
from prism.kit.database.database_faults import DatabaseReadOnly
from tests.shapes import failed

NEW = {"name": "laptop", "scope": "admin"}


def sql(daemon, query):
    with daemon.db.read() as connection:
        return connection.exec_driver_sql(query).fetchall()


def test_token_is_stored_as_a_hash_and_shown_once(team):
    minted = team("owner", "POST", "tokens", {"Idempotency-Key": "k"}, json=NEW)
    assert minted.status_code == 201
    token = minted.json()["token"]
    assert len(token.rpartition(".")[2]) >= 43, "256 bits"
    again = team("owner", "POST", "tokens", {"Idempotency-Key": "k"}, json=NEW)
    assert again.json() == minted.json() | {"token": None}
    listed = team("owner", "GET", "tokens").json()
    assert {entry["name"] for entry in listed} == {"owner", "laptop"}
    assert all("token" not in entry and "hash" not in entry for entry in listed)
    stored = [sql(team.daemon, f"SELECT * FROM {table}") for table in ("tokens", "events")]
    stored.append(sql(team.daemon, "SELECT answer, headers FROM idempotency_keys"))
    assert token.rpartition(".")[2] not in repr(stored)


def test_token_is_refused_after_its_expiry_or_revocation(team, clock):
    minted = team("owner", "POST", "tokens", json=NEW | {"days": 1}).json()
    team.tokens["laptop"] = minted["token"]
    assert team("laptop", "GET", "projects").status_code == 200
    clock.advance(days=1)
    failed(team("laptop", "GET", "projects"), 401, "UNAUTHENTICATED")
    assert team("owner", "DELETE", f"tokens/{minted['id']}").status_code == 200
    [mine] = [entry for entry in team("owner", "GET", "tokens").json()]
    team("operator", "DELETE", f"tokens/{mine['id']}")
    refused = failed(team("owner", "GET", "projects"), 401, "UNAUTHENTICATED")
    assert "revoked" in refused["details"]
    assert refused["remediation"].startswith("Ask the operator for a new one: `prism token create")
    unnamed = failed(team(None, "GET", "projects"), 401, "UNAUTHENTICATED")
    assert "set PRISM_TOKEN" in unnamed["remediation"]


def test_last_use_of_a_token_is_recorded_once_a_minute(team, clock):
    def last_used():
        return [entry["last_used"] for entry in team("viewer", "GET", "tokens").json()]

    assert last_used() == ["2026-01-01T00:00:00Z"]
    clock.advance(seconds=59)
    assert last_used() == ["2026-01-01T00:00:00Z"]
    clock.advance(seconds=1)
    last_used()
    assert last_used() == ["2026-01-01T00:01:00Z"]


def test_token_is_recognised_while_the_database_cannot_be_written(team, clock, monkeypatch):
    @contextmanager
    def write():
        raise DatabaseReadOnly
        yield

    clock.advance(minutes=2)
    monkeypatch.setattr(team.daemon.db, "write", write)
    assert team("viewer", "GET", "tokens").status_code == 200


def test_token_scope_limits_the_rights_of_its_user(team):
    for scope in ("read", "operate"):
        team.token(scope, user="owner@x.org", scope=scope)
        assert team(scope, "GET", f"projects/{team.project}").status_code == 200
        change = team(scope, "PUT", f"projects/{team.project}", json={"description": "x"})
        failed(change, 403, "PERMISSION_DENIED")
        failed(team(scope, "POST", "tokens", json=NEW), 403, "PERMISSION_DENIED")
    failed(team.launch("read", "a"), 403, "PERMISSION_DENIED")
    assert team.launch("operate", "a").status_code == 201
    failed(team("read", "POST", "instances/a/stop"), 403, "PERMISSION_DENIED")
    team.token("glass", user="ada@x.org", scope="read")
    assert team("glass", "GET", "costs/current").status_code == 403


def test_project_token_cannot_see_or_manage_beyond_its_project(team):
    other = team("owner", "POST", "projects", json={"name": "Other"}).json()["id"]
    assert {entry["id"] for entry in team("owner", "GET", "projects").json()} == {
        other,
        team.project,
    }
    for user in ("owner@x.org", "ada@x.org"):
        team.token("one", user=user, scope="admin", project="Reef")
        assert [entry["id"] for entry in team("one", "GET", "projects").json()] == [team.project]
        failed(team("one", "GET", f"projects/{other}"), 404, "PROJECT_NOT_FOUND")
        failed(team("one", "POST", "daemon/shutdown"), 403, "PERMISSION_DENIED")
        wider = team("one", "POST", "tokens", json={"name": "x", "scope": "admin"})
        failed(wider, 403, "PERMISSION_DENIED")


def test_project_token_has_the_role_of_its_user_in_the_project(team):
    change = {"json": {"description": "x"}}
    for user, status in (("viewer", 403), ("outside", 404)):
        team.token("one", user=f"{user}@x.org", scope="admin", project="Reef")
        assert team("one", "PUT", f"projects/{team.project}", **change).status_code == status
    team.token("one", user="owner@x.org", scope="admin", project="Reef")
    assert team("one", "PUT", f"projects/{team.project}", **change).status_code == 200


def test_project_token_hides_other_tokens_invitations_and_events_of_its_user(team):
    """Also those that belong to no project."""
    wide = team("owner", "POST", "tokens", json={"name": "wide", "scope": "admin"}).json()["id"]
    other = team("operator", "POST", "projects", json={"name": "Other"}).json()["id"]
    invitation = {"project_id": other, "email": "owner@x.org"}
    sent = team("operator", "POST", "invitations/send", json=invitation).json()
    elsewhere = team("owner", "POST", "projects", json={"name": "Elsewhere"}).json()["id"]
    token = team.token("one", user="owner@x.org", scope="admin", project="Reef")
    assert [entry["id"] for entry in team("one", "GET", "tokens").json()] == [token.id]
    failed(team("one", "DELETE", f"tokens/{wide}"), 404, "TOKEN_NOT_FOUND")
    failed(team("one", "POST", "projects", json={"name": "More"}), 403, "PERMISSION_DENIED")
    switch = {"profile_name": "local"}
    failed(team("one", "POST", "profiles/switch", json=switch), 403, "PERMISSION_DENIED")
    path, body = f"invitations/{sent['id']}", {"token": sent["token"]}
    for verb in ("accept", "decline"):
        failed(team("one", "POST", f"{path}/{verb}", json=body), 404, "INVITATION_NOT_FOUND")
    failed(team("one", "GET", path), 404, "INVITATION_NOT_FOUND")
    assert team("one", "GET", "invitations/me").json()["count"] == 0
    assert team("owner", "GET", "invitations/me").json()["count"] == 1
    seen = team("one", "GET", "audit").json()
    assert {event["data"].get("project") for event in seen} == {team.project}
    mine = team("owner", "GET", "audit?event=project_created").json()
    assert elsewhere in {event["data"]["project"] for event in mine}


@pytest.mark.parametrize("narrow", [{"scope": "read"}, {"scope": "admin", "project": "Reef"}])
def test_idempotent_answer_is_not_replayed_to_a_narrower_token(team, narrow):
    """A second token of the same user with the same rights gets the replay."""
    key, body = {"Idempotency-Key": "k"}, {"name": "Elsewhere"}
    project = team("owner", "POST", "projects", key, json=body).json()
    team.token("narrow", user="owner@x.org", **narrow)
    failed(team("narrow", "POST", "projects", key, json=body), 403, "PERMISSION_DENIED")
    team.token("renewed", user="owner@x.org", scope="admin")
    again = team("renewed", "POST", "projects", key, json=body)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (project, "true")


def test_project_token_can_create_and_revoke_tokens_of_its_project(team):
    team.token("one", user="owner@x.org", scope="admin", project="Reef")
    body = NEW | {"project": "Reef"}
    token = team("one", "POST", "tokens", json=body).json()
    assert (token["project"], token["user"]) == (team.project, "owner@x.org")
    assert team("one", "DELETE", f"tokens/{token['id']}").status_code == 200


@pytest.mark.parametrize(("user", "caller"), [("owner@x.org", "day"), ("ada@x.org", "night")])
def test_token_cannot_create_a_token_that_expires_later(team, clock, user, caller):
    until = team.token(caller, user=user, scope="admin", days=1).expires_at
    clock.advance(hours=6)
    for days in (1, 366):
        token = team(caller, "POST", "tokens", json=NEW | {"days": days}).json()
        assert token["expires_at"] == f"{until:%Y-%m-%dT%H:%M:%SZ}"
    team.tokens["child"] = token["token"]
    clock.advance(hours=18)
    failed(team("child", "GET", "projects"), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("caller", ["viewer", "member", "admin", "owner", "outside"])
def test_user_cannot_create_or_revoke_tokens_of_another_user(team, caller):
    for user in ("ada@x.org", "owner2@x.org"):
        failed(team(caller, "POST", "tokens", json=NEW | {"user": user}), 403, "PERMISSION_DENIED")
    theirs = team("operator", "GET", "tokens").json()
    [id] = [their["id"] for their in theirs if their["user"] == "ada@x.org"]
    failed(team(caller, "DELETE", f"tokens/{id}"), 404, "TOKEN_NOT_FOUND")


def test_token_secrets_are_compared_in_constant_time(team, monkeypatch):
    """Also if the token does not exist."""
    compared = []

    def compare(ours, theirs):
        compared.append((len(ours), len(theirs)))
        return hmac.compare_digest(ours, theirs)

    monkeypatch.setattr(service, "hmac", SimpleNamespace(compare_digest=compare))
    right = team.tokens["viewer"]
    for word in (right, f"{right[:-1]}_", "prism_tok_none.x", "x"):
        team(None, "GET", "projects", {"Authorization": f"Bearer {word}"})
    assert compared == [(64, 64)] * 4


def test_token_secret_is_absent_from_logs_and_errors(team, caplog):
    secret = team.tokens["viewer"].rpartition(".")[2]
    answers = [
        team("viewer", "GET", "nowhere"),
        team("viewer", "POST", "daemon/shutdown"),
        team(
            "viewer", "POST", "projects", content="{", headers={"Content-Type": "application/json"}
        ),
        team(None, "GET", "projects", {"Authorization": f"Bearer x{team.tokens['viewer']}"}),
    ]
    assert [answer.status_code for answer in answers] == [404, 403, 400, 401]
    assert not [answer.text for answer in answers if secret in answer.text]
    assert secret not in caplog.text


def test_secrets_have_256_bits_and_are_in_no_event(team):
    body = {"project_id": team.project, "email": "new@x.org"}
    invitation = team("admin", "POST", "invitations/send", json=body).json()
    token = team("owner", "POST", "tokens", json={"name": "t", "scope": "read"}).json()
    secrets = [invitation["token"], token["token"].rpartition(".")[2]]
    assert [len(base64.urlsafe_b64decode(f"{secret}=")) for secret in secrets] == [32, 32]
    events = team("operator", "GET", "audit").text
    assert token["id"] in events
    assert invitation["id"] in events
    assert not [secret for secret in secrets if secret in events]


def test_daemon_status_names_the_caller(team):
    for asking, name in (("owner", "owner@x.org"), ("operator", "ada@x.org")):
        assert team(asking, "GET", "daemon/status").json()["user"] == name
