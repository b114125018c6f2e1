"""What people are told, once each, whatever happens in between."""

import pytest

from prism.notices.model import PERCENTS
from prism.workspaces.model import Observed, WorkspaceFailure
from tests.access.people import Team
from tests.conftest import Http
from tests.notices.conftest import kinds, ok
from tests.shapes import failed


def test_person_who_is_removed_is_told_once_and_nobody_else(team, inbox):
    ok(team("owner", "DELETE", f"projects/{team.project}/members/member@x.org"))
    [notice] = inbox("member")
    assert notice["kind"] == "membership"
    assert notice["title"] == "You are no member of Reef any more"
    assert notice["text"] == "owner@x.org removed you."
    assert inbox("member") == [notice], "collected again: the same one notice"
    for other in ("viewer", "admin", "owner", "operator", "outside"):
        assert inbox(other) == []


def test_person_who_leaves_is_not_told_what_they_did(team, inbox):
    ok(team("member", "DELETE", f"projects/{team.project}/members/member@x.org"))
    assert inbox("member") == []


def test_notice_is_read_by_its_person_only(team, inbox):
    ok(
        team(
            "owner",
            "PUT",
            f"projects/{team.project}/members/member@x.org",
            json={"role": "viewer"},
        )
    )
    [notice] = inbox("member")
    assert ok(team("admin", "POST", "notices/read", json={"ids": [notice["id"]]})) == {"read": 0}
    assert ok(team("member", "GET", "notices"))["unread"] == 1
    assert ok(team("member", "POST", "notices/read", json={"ids": [notice["id"]]})) == {"read": 1}
    answer = ok(team("member", "GET", "notices?unread=true"))
    assert answer == {"notices": [], "unread": 0}


def test_token_for_one_project_shows_notices_about_it_only(team, inbox):
    ok(team("operator", "POST", "projects", json={"name": "Other"}))
    for project in ("Other", team.project):
        body = {"email": "member@x.org", "role": "member"}
        team("operator", "POST", f"projects/{project}/members", json=body)
        ok(
            team(
                "operator",
                "PUT",
                f"projects/{project}/members/member@x.org",
                json={"role": "admin"},
            )
        )
    team.token("narrow", user="member@x.org", project=team.project)
    assert len(inbox("member")) == 2
    [notice] = inbox("narrow")
    assert notice["project"] == team.project
    failed(team("narrow", "PUT", "notices/settings", json={}), 403, "PERMISSION_DENIED")
    failed(team("narrow", "GET", "webhooks"), 403, "PERMISSION_DENIED")


def test_workspace_that_fails_is_told_to_its_owner(team, inbox, cloud):
    ok(team.launch("member", "mine"))
    team.daemon.settle()
    assert kinds(inbox("member")) == []
    workspace = ok(team("member", "GET", "instances/mine"))
    lost = WorkspaceFailure("MACHINE_LOST", "Start it again.\nIts disk is kept.")
    cloud.set_state(workspace["id"], Observed.BROKEN, failure=lost)
    team.daemon.settle()
    [notice] = inbox("member")
    assert (notice["kind"], notice["title"]) == ("failure", "mine: machine lost")
    assert notice["text"] == "Start it again. Its disk is kept."
    team.daemon.settle()
    assert len(inbox("member")) == 1
    assert inbox("admin") == []


def test_expiry_is_told_in_time_and_again_after_an_extension(team, inbox, clock):
    ok(team.launch("member", "mine", ttl_hours=48))
    team.daemon.settle()
    assert inbox("member") == []
    clock.advance(hours=24, minutes=1)
    [notice] = inbox("member")
    assert (notice["kind"], notice["title"]) == ("expiry", "mine expires in 24 h")
    assert notice["command"] == "prism workspace extend mine 24h"
    clock.advance(hours=1)
    assert len(inbox("member")) == 1
    ok(team("member", "POST", "instances/mine/extend", json={"hours": 48}))
    assert len(inbox("member")) == 1
    clock.advance(hours=48)
    assert len(inbox("member")) == 2


def test_own_time_before_an_expiry(team, inbox, clock):
    ok(team("member", "PUT", "notices/settings", json={"expiry_hours": 2}))
    ok(team.launch("member", "mine", ttl_hours=4))
    clock.advance(hours=1)
    assert inbox("member") == []
    clock.advance(hours=1, minutes=1)
    assert kinds(inbox("member")) == ["expiry"]


def test_settings_are_those_of_the_person(team):
    before = ok(team("member", "GET", "notices/settings"))
    assert all(row["mail"] and row["webhook"] for row in before["kinds"])
    assert (before["usual_thresholds"], before["expiry_hours"]) == ([*PERCENTS], 24)
    assert (before["mail_address"], before["no_mail"]) == ("member@x.org", None)
    change = {"kinds": {"expiry": {"mail": False, "webhook": True}}, "thresholds": [60, 30, 60]}
    after = ok(team("member", "PUT", "notices/settings", json=change))
    assert after["thresholds"] == [30, 60]
    [row] = [row for row in after["kinds"] if row["kind"] == "expiry"]
    assert (row["mail"], row["webhook"]) == (False, True)
    assert ok(team("admin", "GET", "notices/settings")) == before | {"mail_address": "admin@x.org"}
    wrong_changes: list[dict[str, object]] = [
        {"kinds": {"nothing": {}}},
        {"thresholds": [0]},
        {"expiry_hours": 0},
    ]
    for wrong in wrong_changes:
        failed(team("member", "PUT", "notices/settings", json=wrong), 422, "VALIDATION_FAILED")


def test_one_person_without_mail_server_gets_notices_in_the_inbox(daemon, http, clock):
    order = {"name": "mine", "template": "Plain Shell", "ttl_hours": 4}
    ok(http("POST", "/api/v1/instances/launch", json=order))
    daemon.settle()
    assert ok(http("GET", "/api/v1/notices"))["notices"] == [], "it was launched for that time"
    clock.advance(hours=2, minutes=1)
    daemon.settle()
    [notice] = ok(http("GET", "/api/v1/notices"))["notices"]
    assert notice["kind"] == "expiry"
    settings = ok(http("GET", "/api/v1/notices/settings"))
    assert settings["mail_address"] is None
    assert settings["no_mail"] == "the daemon has no mail server (PRISM_SMTP_URL)"
    clock.advance(hours=1)
    assert daemon.notice_parts.mail_loop.once() == 0, "nothing waits for mail"


@pytest.mark.postgres
def test_two_daemons_tell_the_same_once(make_daemon):
    daemons = [make_daemon(auth="tokens", user="ada@x.org") for _ in range(2)]
    team = Team(daemons[0], Http(daemons[0].app))
    ok(team("owner", "DELETE", f"projects/{team.project}/members/member@x.org"))
    for daemon in daemons:
        daemon.notice_parts.collector.collect()
    assert kinds(ok(team("member", "GET", "notices"))["notices"]) == ["membership"]
