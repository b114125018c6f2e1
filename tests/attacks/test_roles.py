"""Attempts to act as another user, to gain rights, and to learn what exists."""

import asyncio
import itertools
import re

import pytest

from prism.access.model import AccessVerb
from prism.access.rules import ROUTES, rule_of
from tests.access.people import ROLES, Team
from tests.conftest import Http
from tests.shapes import failed

ALLOWED_TO_ANYBODY = {AccessVerb.USE, AccessVerb.FOUND, AccessVerb.ANY, AccessVerb.LOOK}


def test_write_routes_open_to_viewers_concern_only_their_own_objects():
    """No other route that changes something requires only rights that viewers have."""
    writes = [r for r in ROUTES if r.split()[0] in {"POST", "PUT", "DELETE", "PATCH", "WS"}]
    open_to_viewers = {
        route
        for route in writes
        if ROUTES[route].verb in {AccessVerb.READ, *ALLOWED_TO_ANYBODY} and "ws" not in route[-3:]
    }
    assert open_to_viewers == {
        "POST /api/v1/profiles/switch",
        "POST /api/v1/projects",
        "POST /api/v1/notices/read",
        "PUT /api/v1/notices/settings",
        "POST /api/v1/notices/test",
        "POST /api/v1/webhooks",
        "DELETE /api/v1/webhooks/{id}",
        "POST /api/v1/webhooks/{id}/test",
        "POST /api/v1/requests",
        "POST /api/v1/tokens",
        "DELETE /api/v1/tokens/{id}",
        "POST /api/v1/login",
        "POST /api/v1/logout",
        "POST /api/v1/login/provider",
        "POST /api/v1/login/account",
        "POST /api/v1/login/mail",
        "POST /api/v1/login/terminal",
        "POST /api/v1/login/terminal/session",
        "POST /api/v1/login/device",
        "POST /api/v1/login/device/session",
        "POST /api/v1/login/device/find",
        "POST /api/v1/login/device/answer",
        "POST /auth/backchannel-logout/{provider}",
        "POST /auth/backchannel-logout",
        "DELETE /api/v1/sessions",
        "DELETE /api/v1/sessions/{id}",
    }


@pytest.mark.parametrize("role", ["viewer", "member", "admin"])
def test_member_below_owner_cannot_become_owner(team, role):
    me, members = f"{role}@x.org", f"projects/{team.project}/members"
    failed(team(role, "PUT", f"{members}/{me}", json={"role": "owner"}), 403, "PERMISSION_DENIED")
    again = {"email": f"{role}2@x.org", "role": "owner"}
    failed(team(role, "POST", members, json=again), 403, "PERMISSION_DENIED")
    failed(team(role, "DELETE", f"{members}/owner@x.org"), 403, "PERMISSION_DENIED")
    failed(team.invite(role, "accomplice@x.org", role="owner"), 403, "PERMISSION_DENIED")
    many = {"project_id": team.project, "invitations": [{"email": "a@x.org", "role": "owner"}]}
    failed(team(role, "POST", "invitations/bulk", json=many), 403, "PERMISSION_DENIED")
    assert team(role, "GET", f"{members}/{me}").json()["role"] == role


def test_admin_can_invite_up_to_the_role_of_admin(team):
    assert team.invite("admin", "a@x.org", role="admin").status_code == 201
    high = team.invite("owner", "o@x.org", role="owner").json()["id"]
    failed(team("admin", "DELETE", f"invitations/{high}"), 403, "PERMISSION_DENIED")
    failed(team("admin", "POST", f"invitations/{high}/resend"), 403, "PERMISSION_DENIED")


def test_invitation_cannot_be_sent_in_the_name_of_another_user(team):
    invitation = {"project_id": team.project, "email": "z@x.org", "invited_by": "owner@x.org"}
    failed(team("admin", "POST", "invitations/send", json=invitation), 403, "PERMISSION_DENIED")
    own = invitation | {"invited_by": "Admin@X.org"}
    assert team("admin", "POST", "invitations/send", json=own).status_code == 201
    assert team.launch("member", "mine").status_code == 201
    facts = team.daemon.db.events_after(0)
    actors = {(fact.event, fact.actor) for fact in facts}
    assert ("invitation_sent", "admin@x.org") in actors
    assert ("instance_asked", "member@x.org") in actors


def test_invitation_is_answered_by_its_recipient_and_hidden_from_others(team):
    sent = team.invite("admin", "outside@x.org").json()
    path, body = f"invitations/{sent['id']}", {"token": sent["token"]}
    for role in ("admin", "owner"):
        failed(team(role, "POST", f"{path}/accept", json=body), 403, "PERMISSION_DENIED")
        assert team(role, "GET", path).json()["token"] is None, "team mode never shows it"
    failed(team("viewer", "GET", path), 403, "PERMISSION_DENIED")
    team.token("eve", user="eve@y.org", scope="admin")
    for method, end in (("GET", ""), ("POST", "/accept"), ("DELETE", "")):
        json = body if end else None
        failed(team("eve", method, path + end, json=json), 404, "INVITATION_NOT_FOUND")
    assert team("outside", "GET", path).json()["project_name"] == "Reef"
    mine = team("outside", "GET", "invitations/me").json()
    assert [invitation["id"] for invitation in mine["invitations"]] == [sent["id"]]
    wrong = team("outside", "POST", f"{path}/accept", json={"token": "x"})
    failed(wrong, 403, "INVITATION_TOKEN_INVALID")
    assert team("outside", "POST", f"{path}/accept", json=body).status_code == 200
    assert team("outside", "GET", f"projects/{team.project}").status_code == 200


def test_hidden_object_answers_like_a_missing_one(team):
    assert team.launch("member", "secret").status_code == 201
    sent = team.invite().json()["id"]
    for hidden, absent in (
        ("instances/secret", "instances/nothing"),
        (f"projects/{team.project}", "projects/nothing"),
        ("projects/Reef/members/owner@x.org", "projects/nothing/members/owner@x.org"),
        (f"invitations/{sent}", "invitations/nothing"),
    ):
        answers = [team("outside", "GET", path) for path in (hidden, absent)]
        refusals = []
        for path, answer in zip((hidden, absent), answers, strict=True):
            error = answer.json()["error"]
            name = path.split("/")[1]
            refusals.append(
                (
                    answer.status_code,
                    error["code"],
                    error["message"].replace(name, "X"),
                    error["details"],
                    error["remediation"].replace(name, "X"),
                )
            )
        assert refusals[0] == refusals[1]
        assert refusals[0][0] == 404


def test_lists_contain_only_objects_visible_to_the_caller(team):
    assert team.launch("member", "reef").status_code == 201
    other = team("owner", "POST", "projects", json={"name": "Other"}).json()["id"]
    assert team.launch("owner", "other", project=other).status_code == 201

    def names(caller, path):
        return {entry["name"] for entry in team(caller, "GET", path).json()}

    for role in ROLES:
        mine = {"reef", "other"} if role == "owner" else {"reef"}
        assert names(role, "instances") == mine
        assert names(role, "instances?state=launching") == mine
        assert names(role, "projects") == ({"Reef", "Other"} if role == "owner" else {"Reef"})
    assert names("outside", "instances") == names("outside", "projects") == set()
    assert names("operator", "instances") == {"reef", "other"}


def test_member_manages_own_workspaces_and_an_admin_manages_all(team):
    assert team.launch("member", "own").status_code == 201
    assert team.launch("admin", "theirs").status_code == 201
    assert team("member", "POST", "instances/own/stop").status_code == 200
    failed(team("member", "POST", "instances/theirs/stop"), 403, "PERMISSION_DENIED")
    failed(team("member", "GET", "instances/theirs/connect"), 403, "PERMISSION_DENIED")
    assert team("admin", "POST", "instances/own/stop").status_code == 200
    failed(team.launch("outside", "x"), 404, "PROJECT_NOT_FOUND")
    failed(team.launch("member", "x", project=None), 403, "PERMISSION_DENIED")


def test_volume_cannot_be_used_from_another_project(team):
    other = team("owner", "POST", "projects", json={"name": "Other"}).json()["id"]
    volume = {"type": "efs", "name": "theirs", "project": other}
    assert team("owner", "POST", "storage/volumes/create", json=volume).status_code == 201
    failed(team.launch("member", "x", volumes=["theirs"]), 404, "VOLUME_NOT_FOUND")
    body = {"email": "member@x.org", "role": "viewer"}
    assert team("operator", "POST", f"projects/{other}/members", json=body).status_code == 201
    failed(team.launch("member", "x", volumes=["theirs"]), 403, "PERMISSION_DENIED")
    assert team.launch("admin", "mine").status_code == 201
    attach = {"instance": "mine"}
    refusal = team("admin", "POST", "storage/volumes/theirs/attach", json=attach)
    failed(refusal, 404, "VOLUME_NOT_FOUND")
    failed(team("member", "DELETE", "storage/volumes/theirs"), 403, "PERMISSION_DENIED")


def test_removed_member_loses_own_workspaces(team):
    assert team.launch("member", "own").status_code == 201
    path = f"projects/{team.project}/members/member@x.org"
    assert team("owner", "PUT", path, json={"role": "viewer"}).status_code == 200
    failed(team("member", "POST", "instances/own/stop"), 403, "PERMISSION_DENIED")
    assert team("owner", "DELETE", path).status_code == 200
    failed(team("member", "GET", "instances/own"), 404, "INSTANCE_NOT_FOUND")
    assert team("operator", "GET", "instances/own").status_code == 200


def test_profile_switch_affects_only_the_caller(team):
    profile = {"name": "lab", "provider": "local"}
    assert team("operator", "POST", "profiles", json=profile).status_code == 201
    assert (
        team("member", "POST", "profiles/switch", json={"profile_name": "lab"}).status_code == 200
    )
    assert team("member", "GET", "profiles/current").json()["name"] == "lab"
    assert team("owner", "GET", "profiles/current").json()["name"] == "local"


def test_unix_socket_acts_as_the_operator_without_a_token(team):
    assert by_socket(team, "/api/v1/tokens") == 200
    wrong = [(b"authorization", b"Bearer prism_tok_0.x")]
    assert by_socket(team, "/api/v1/tokens", wrong) == 401


def by_socket(team, path, headers=()):
    """The status of an answer over the Unix socket."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [*headers],
        "server": ("/run/prism.sock", None),
        "client": None,
        "scheme": "http",
        "root_path": "",
        "http_version": "1.1",
    }
    messages = []

    async def ask():
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            messages.append(message)

        await team.daemon.app(scope, receive, send)

    asyncio.run(ask())
    return messages[0]["status"]


def test_public_url_host_and_origin_are_accepted_and_others_refused(make_daemon):
    daemon = make_daemon(auth="tokens", user="ada@x.org", public_url="https://prism.lab.org/")
    team = Team(daemon, Http(daemon.app))
    for host, origin, status in (
        ("prism.lab.org", "https://prism.lab.org", 200),
        ("prism.lab.org", "https://evil.org", 403),
        ("evil.org", None, 421),
        ("mine.localhost:8947", None, 403),
    ):
        headers = {"Host": host} | ({"Origin": origin} if origin else {})
        assert team("viewer", "GET", "projects", headers).status_code == status, host


def test_access_rules_name_existing_path_parameters():
    for route, rule in ROUTES.items():
        named = re.findall(r"\{(\w+)\}", route)
        assert not rule.whose or rule.whose in named, route
        if rule.kind and not rule.where.startswith(("body.", "query.")):
            assert rule.where in named, route
            assert rule_of(*route.split()) is rule


def test_revoking_a_token_revokes_its_descendants_only(team):
    """A thief may have created further tokens with a stolen one."""

    def create_token(by, name, **more):
        minted = team(by, "POST", "tokens", json={"name": name, "scope": "admin", **more}).json()
        team.tokens[name] = minted["token"]
        return minted["id"]

    def is_accepted(name):
        return team(name, "GET", "projects").status_code == 200

    stolen = create_token("owner", "stolen")
    create_token("stolen", "child")
    create_token("child", "grandchild", project="Reef")
    create_token("owner", "sister")
    team.token("by the operator", user="owner@x.org")
    assert all(map(is_accepted, ("stolen", "child", "grandchild", "sister", "by the operator")))
    failed(team("viewer", "DELETE", f"tokens/{stolen}"), 404, "TOKEN_NOT_FOUND")
    message = team("sister", "DELETE", f"tokens/{stolen}").json()["message"]
    assert message == "Token 'stolen' revoked successfully, and 2 made with it"
    for gone in ("stolen", "child", "grandchild"):
        failed(team(gone, "GET", "projects"), 401, "UNAUTHENTICATED")
    assert all(map(is_accepted, ("owner", "sister", "by the operator")))
    revoked = [
        event.subject for event in team.daemon.db.events_after(0) if event.event == "token_revoked"
    ]
    assert sorted(revoked) == ["child", "grandchild", "stolen"]
    theirs = create_token("operator", "theirs", user="eve@x.org")
    assert is_accepted("theirs")
    [operators] = [
        entry for entry in team("operator", "GET", "tokens").json() if entry["name"] == "operator"
    ]
    assert operators["id"] != theirs
    team.token("second", user="ada@x.org", scope="admin")
    assert team("second", "DELETE", f"tokens/{operators['id']}").status_code == 200
    failed(team("theirs", "GET", "projects"), 401, "UNAUTHENTICATED")


def test_etag_of_a_list_is_different_for_each_caller(team):
    """An ETag of another caller never leads to a 304 answer."""
    assert team.launch("member", "secret").status_code == 201
    marks = {}
    for person in ("operator", *ROLES, "outside"):
        answer = team(person, "GET", "instances")
        marks[person] = answer.headers["etag"]
        again = team(person, "GET", "instances", {"If-None-Match": marks[person]})
        assert (again.status_code, again.content) == (304, b"")
    assert len(set(marks.values())) == len(marks)
    for person, other in itertools.permutations(marks, 2):
        response = team(person, "GET", "instances", {"If-None-Match": marks[other]})
        assert response.status_code == 200, f"{person} with the mark of {other}"
    team.token("narrow", user="owner@x.org", scope="admin", project="Reef")
    other = team("owner", "POST", "projects", json={"name": "Other"}).json()["id"]
    assert team.launch("owner", "more", project=other).status_code == 201
    wide = team("owner", "GET", "instances").headers["etag"]
    assert team("narrow", "GET", "instances", {"If-None-Match": wide}).status_code == 200


def test_etag_of_a_list_changes_only_with_what_the_caller_sees(team):
    path = "instances?limit=1"
    assert team.launch("owner", "first").status_code == 201

    def tags():
        return [team("viewer", "GET", url).headers["etag"] for url in ("instances", path)]

    before = tags()
    hidden = team("operator", "POST", "projects", json={"name": "Hidden"}).json()["id"]
    assert team.launch("operator", "secret", project=hidden).status_code == 201
    assert tags() == before
    assert team.launch("owner", "second").status_code == 201
    after = tags()
    assert after[0] != before[0]
    assert after[1] != before[1], "the first page has a `Link` now"
    answer = team("viewer", "GET", "instances", {"If-None-Match": after[0]})
    assert (answer.status_code, answer.content) == (304, b"")


def test_daemon_status_counts_workspaces_visible_to_the_caller(team):
    assert team.launch("member", "one").status_code == 201
    assert team.launch("operator", "two", project=None).status_code == 201
    counts = {
        person: (status["total_instances"], status["active_instances"])
        for person in ("operator", *ROLES, "outside")
        for status in [team(person, "GET", "daemon/status").json()]
    }
    assert counts == {
        **dict.fromkeys(ROLES, (1, 1)),
        **{"operator": (2, 2), "outside": (0, 0)},
    }


def test_idempotency_key_is_not_shared_between_callers(team):
    """A guessed key does not reveal the answer to another caller's request."""
    team.token("operate", user="owner@x.org", scope="operate")
    team.token("narrow", user="owner@x.org", scope="admin", project="Reef")
    key, body = {"Idempotency-Key": "guessed"}, {"name": "Secret"}
    first = team("owner", "POST", "projects", key, json=body)
    assert first.status_code == 201
    answers = {
        person: team(person, "POST", "projects", key, json=body)
        for person in ("operator", "viewer", "outside", "operate", "narrow", None)
    }
    for person, answer in answers.items():
        assert "idempotency-replayed" not in answer.headers, person
        assert first.json()["id"] not in answer.text, person
    statuses = {person: answer.status_code for person, answer in answers.items()}
    refused = {"operate": 403, "narrow": 403, None: 401}
    assert statuses == {"operator": 409, "viewer": 409, "outside": 409, **refused}
    again = team("owner", "POST", "projects", key, json=body)
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
