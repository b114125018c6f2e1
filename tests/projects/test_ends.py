"""Memberships that end at a time, with the stopped clock and on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from prism.invitations.store import mails
from tests.access.people import Team
from tests.conftest import Http
from tests.shapes import failed

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=30)


def stamp(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def team(make_daemon, cloud):
    cloud.busy = timedelta(0)
    daemon = make_daemon(
        auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1", project_creation="nobody"
    )
    return Team(daemon, Http(daemon.app))


def set_end(team, person="member", caller="owner", until=END, **more):
    body = {"until": None if until is None else stamp(until), **more}
    return team(caller, "PUT", f"projects/Reef/members/{person}@x.org", json=body)


def end_of(team, person="member"):
    row = team("operator", "GET", f"projects/Reef/members/{person}@x.org").json()
    return row["until"], row["at_end"], row["to"]


def state(team, name):
    row = team("operator", "GET", f"instances/{name}").json()
    return row["owner"], row["state"]


def events(team, name):
    return [event for event in team.daemon.db.events_after(0) if event.event == name]


def let_end(team):
    """Let the time come, and the loops run."""
    team.daemon.clock.advance(days=30)
    team.daemon.settle()


def test_owner_gives_changes_and_removes_an_end(team):
    assert end_of(team) == (None, None, None)
    assert set_end(team).status_code == 200
    assert end_of(team) == (stamp(END), "stop", None)
    later = END + timedelta(days=5)
    assert set_end(team, until=later, at_end="hand_over", to="ADMIN@x.org").status_code == 200
    assert end_of(team) == (stamp(later), "hand_over", "admin@x.org")
    assert set_end(team, until=later, to=None).json()["to"] == "owner@x.org", "whoever asks"
    assert set_end(team, until=None).status_code == 200
    assert end_of(team) == (None, None, None)
    let_end(team)
    assert team("member", "GET", "projects/Reef").status_code == 200
    changes = [
        (event.data["previous_until"], event.data["until"])
        for event in events(team, "member_changed")
    ]
    assert len(changes) == 4 and changes[0][0] is None and changes[-1][1] is None


def test_right_ends_at_the_instant_although_no_loop_has_run(team):
    team.token("narrow", user="member@x.org", project="Reef")
    assert team.launch("member", "mine").status_code == 201
    team.daemon.settle()
    set_end(team)
    clock = team.daemon.clock
    clock.advance(days=30, seconds=-1)
    assert team("member", "GET", "projects/Reef").status_code == 200
    clock.advance(seconds=1)
    for caller in ("member", "narrow"):
        assert team(caller, "GET", "projects/Reef").status_code == 404
        failed(team(caller, "GET", "instances/mine"), 404, "INSTANCE_NOT_FOUND")
        assert team.launch(caller, "other").status_code in {403, 404}
    order = {"owner": "member@x.org", "name": "given"}
    failed(team.launch("admin", **order), 422, "VALIDATION_FAILED")


def test_share_of_who_has_ended_lets_nobody_in_although_no_loop_has_run(team):
    assert team.launch("member", "mine").status_code == 201
    team.daemon.settle()
    share = {"terminal": True, "guest": "viewer@x.org", "until": stamp(END + timedelta(days=9))}
    assert team("member", "POST", "instances/mine/shares", json=share).status_code == 201
    assert len(team("viewer", "GET", "shares").json()["received"]) == 1
    set_end(team)
    team.daemon.clock.advance(days=30)
    assert team("viewer", "GET", "shares").json()["received"] == []
    team.daemon.settle()
    team.daemon.settle()
    assert [event.data["guest"] for event in events(team, "share_ended")] == ["viewer@x.org"]


def test_workspaces_stop_exactly_once_and_stay_their_owners(team):
    for name in ("one", "two"):
        assert team.launch("member", name).status_code == 201
    team.launch("admin", "other")
    team.daemon.settle()
    set_end(team)
    let_end(team)
    for _ in range(3):
        team.daemon.settle()
    assert state(team, "one") == state(team, "two") == ("member@x.org", "stopped")
    assert state(team, "other") == ("admin@x.org", "running")
    [left] = events(team, "member_left")
    assert (left.actor, left.data["email"], left.data["at_end"]) == (
        "prism",
        "member@x.org",
        "stop",
    )
    stops = [event for event in events(team, "instance_asked") if event.data["verb"] == "stop"]
    assert sorted(event.subject for event in stops) == ["one", "two"]
    failed(team("operator", "GET", "projects/Reef/members/member@x.org"), 404, "MEMBER_NOT_FOUND")
    audit = team("owner", "GET", "audit?event=member_left").json()
    assert [entry["data"]["until"] for entry in audit] == [stamp(END)]


def test_tokens_for_the_project_are_revoked_as_for_who_is_removed(team):
    minted = team.token("narrow", user="member@x.org", project="Reef")
    set_end(team)
    let_end(team)
    assert [event.data["token"] for event in events(team, "token_revoked")] == [minted.id]
    failed(team("narrow", "GET", "me"), 401, "UNAUTHENTICATED")


def test_workspaces_are_handed_over_to_who_was_named(team):
    team.launch("member", "one")
    team.daemon.settle()
    set_end(team, at_end="hand_over", to="admin@x.org")
    let_end(team)
    assert state(team, "one") == ("admin@x.org", "running")
    [left] = events(team, "member_left")
    assert (left.data["at_end"], left.data["to"]) == ("hand_over", "admin@x.org")


@pytest.mark.parametrize("loss", ["leaves", "demoted", "ends"])
def test_workspaces_stop_if_who_was_named_may_not_have_them_any_more(team, loss):
    team.launch("member", "one")
    team.daemon.settle()
    set_end(team, at_end="hand_over", to="admin@x.org")
    path = "projects/Reef/members/admin@x.org"
    if loss == "leaves":
        assert team("owner", "DELETE", path).status_code == 200
    elif loss == "demoted":
        assert team("owner", "PUT", path, json={"role": "viewer"}).status_code == 200
    else:
        assert set_end(team, "admin", until=END - timedelta(days=1)).status_code == 200
    let_end(team)
    assert state(team, "one") == ("member@x.org", "stopped")


def test_workspace_of_a_name_that_the_heir_has_stops_and_the_others_are_handed_over(team):
    for name in ("one", "two"):
        team.launch("member", name)
    team.launch("admin", "one")
    team.daemon.settle()
    set_end(team, at_end="hand_over", to="admin@x.org")
    let_end(team)
    rows = team("operator", "GET", "instances").json()
    assert {(row["name"], row["owner"], row["state"]) for row in rows} == {
        ("one", "admin@x.org", "running"),
        ("one", "member@x.org", "stopped"),
        ("two", "admin@x.org", "running"),
    }


def test_bad_ends_are_refused(team):
    for until in (START, START - timedelta(days=1), START + timedelta(days=4000)):
        failed(set_end(team, until=until), 422, "VALIDATION_FAILED")
    for text in ("2026-02-30T00:00:00Z", "tomorrow", "2026-02-03", "2026-02-03T00:00:00", 5):
        body = {"until": text}
        answer = team("owner", "PUT", "projects/Reef/members/member@x.org", json=body)
        failed(answer, 422, "VALIDATION_FAILED")
    failed(set_end(team, at_end="sell"), 422, "VALIDATION_FAILED")
    for heir in ("viewer@x.org", "outside@x.org", "member@x.org"):
        failed(set_end(team, at_end="hand_over", to=heir), 422, "VALIDATION_FAILED")
    assert set_end(team, "admin", until=END).status_code == 200
    same_time = failed(
        set_end(team, at_end="hand_over", to="admin@x.org"), 422, "VALIDATION_FAILED"
    )
    assert "ends before" in same_time["details"]
    failed(set_end(team, "outside"), 404, "MEMBER_NOT_FOUND")
    assert end_of(team) == (None, None, None)


def test_last_owner_without_an_end_stays(team):
    """The operator, who has made the project, is the other owner of Reef."""
    assert set_end(team, "owner", "operator").status_code == 200
    failed(set_end(team, "ada", "operator"), 409, "LAST_OWNER")
    for answer in (
        team("operator", "DELETE", "projects/Reef/members/ada@x.org"),
        team("operator", "PUT", "projects/Reef/members/ada@x.org", json={"role": "admin"}),
    ):
        failed(answer, 409, "LAST_OWNER")
    let_end(team)
    roles = {
        row["email"]: row["role"]
        for row in team("operator", "GET", "projects/Reef/members").json()
    }
    assert "owner@x.org" not in roles and roles["ada@x.org"] == "owner"


def test_nobody_changes_their_own_end_or_gives_more_than_they_have(team):
    failed(set_end(team, "owner"), 403, "PERMISSION_DENIED")
    for caller in ("viewer", "member", "admin"):
        failed(set_end(team, "viewer", caller), 403, "PERMISSION_DENIED")
    assert set_end(team, "owner", "operator").status_code == 200
    failed(set_end(team, "owner", until=None), 403, "PERMISSION_DENIED")
    failed(set_end(team, "owner", until=END + timedelta(days=1)), 403, "PERMISSION_DENIED")
    path, longer = "projects/Reef/members", stamp(END + timedelta(seconds=1))
    for end in ({}, {"until": longer}):
        body = {"email": "new@x.org", **end}
        failed(team("owner", "POST", path, json=body), 403, "PERMISSION_DENIED")
        failed(team.invite("owner", **end), 403, "PERMISSION_DENIED")
        many = {"project_id": "Reef", "invitations": [{"email": "new@x.org"}], **end}
        failed(team("owner", "POST", "invitations/bulk", json=many), 403, "PERMISSION_DENIED")
    assert set_end(team).status_code == 200, "as long as their own"
    failed(set_end(team, until=None), 403, "PERMISSION_DENIED")
    assert team.invite("owner", until=stamp(END)).status_code == 201
    assert team(
        "owner", "POST", path, json={"email": "new2@x.org", "until": stamp(END)}
    ).is_success


def test_member_is_added_with_an_end_and_can_be_added_again_after_it(team):
    body = {"email": "bob@x.org", "until": stamp(END), "at_end": "keep"}
    added = team("owner", "POST", "projects/Reef/members", json=body).json()
    assert (added["until"], added["at_end"]) == (stamp(END), "keep")
    [joined] = [
        event for event in events(team, "member_joined") if event.data["email"] == "bob@x.org"
    ]
    assert joined.data["at_end"] == "keep"
    team.daemon.clock.advance(days=30)
    again = team("owner", "POST", "projects/Reef/members", json={"email": "bob@x.org"})
    assert again.status_code == 201, "although no loop has removed them yet"
    assert again.json()["until"] is None
    team.daemon.settle()
    assert end_of(team, "bob") == (None, None, None)


def test_invitation_gives_its_end_to_the_membership_and_has_its_own(team):
    sent = team.invite("admin", until=stamp(END), at_end="hand_over").json()
    assert (sent["until"], sent["at_end"], sent["to"]) == (stamp(END), "hand_over", "admin@x.org")
    assert sent["expires_at"] == stamp(START + timedelta(days=7))
    [listed] = team("admin", "GET", "invitations/project/Reef").json()["invitations"]
    assert listed["until"] == stamp(END)
    accept(team, sent["id"])
    assert end_of(team, "new") == (stamp(END), "hand_over", "admin@x.org")


def accept(team, id):
    """Accept as the invited person, with the token of the queued mail."""
    with team.daemon.db.read() as sql:
        [token] = [row.token for row in sql.execute(mails.select()) if row.invitation == id]
    team.token("new")
    return team("new", "POST", f"invitations/{id}/accept", json={"token": token})


def test_invitation_that_is_accepted_after_the_offered_end_makes_nobody_a_member(team):
    sent = team.invite("admin", until=stamp(START + timedelta(days=2))).json()
    team.daemon.clock.advance(days=2)
    failed(accept(team, sent["id"]), 410, "INVITATION_EXPIRED")
    failed(team("operator", "GET", "projects/Reef/members/new@x.org"), 404, "MEMBER_NOT_FOUND")
    order = {"owner": "new@x.org", "name": "given"}
    failed(team.launch("admin", **order), 422, "VALIDATION_FAILED")


def test_class_of_many_gets_one_end(team):
    many = {"project_id": "Reef", "invitations": [{"email": f"s{n}@x.org"} for n in range(3)]}
    answer = team("admin", "POST", "invitations/bulk", json={**many, "until": stamp(END)})
    assert answer.json()["summary"]["sent"] == 3
    rows = team("admin", "GET", "invitations/project/Reef").json()["invitations"]
    assert {(row["until"], row["at_end"]) for row in rows} == {(stamp(END), "stop")}
    failed(
        team("admin", "POST", "invitations/bulk", json={**many, "until": stamp(START)}),
        422,
        "VALIDATION_FAILED",
    )


def bulk(team, guests, caller="admin", **more):
    """Invite these, by their name and `until`; the outcome of each, and the offered ends."""
    rows = [{"email": f"{name}@x.org", **own} for name, own in guests.items()]
    body = {"project_id": "Reef", "invitations": rows, **more}
    results = team(caller, "POST", "invitations/bulk", json=body).json()["results"]
    invitations = team("owner", "GET", "invitations/project/Reef").json()["invitations"]
    ends = {row["email"].partition("@")[0]: (row["until"], row["at_end"]) for row in invitations}
    return [(result["status"], result["error"]) for result in results], ends


def test_each_of_many_can_have_an_end_of_its_own(team):
    week = stamp(START + timedelta(days=7))
    guests = {
        "all": {},
        "week": {"until": week},
        "stays": {"until": None},
        "late": {"until": stamp(START)},
        "word": {"until": "soon"},
        "zone": {"until": "2026-01-08T00:00:00"},
    }
    results, ends = bulk(team, guests, until=stamp(END), at_end="keep")
    assert [status for status, _ in results] == ["sent"] * 3 + ["failed"] * 3
    assert ends == {
        "all": (stamp(END), "keep"),
        "week": (week, "keep"),
        "stays": (None, None),
    }
    assert "must be later than now" in results[3][1]
    assert {why for _, why in results[4:]} == {
        "until: 'soon' is no time such as 2027-03-31T18:00:00Z",
        "until: '2026-01-08T00:00:00' is no time such as 2027-03-31T18:00:00Z",
    }


def test_ends_of_a_row_need_no_end_for_all_and_no_row_outlasts_the_sender(team):
    set_end(team, "admin")
    later = stamp(END + timedelta(days=1))
    guests = {"own": {"until": stamp(END)}, "longer": {"until": later}, "ever": {}}
    results, ends = bulk(team, guests, at_end="keep")
    assert ends == {"own": (stamp(END), "keep")}
    assert [status for status, _ in results] == ["sent", "failed", "failed"]
    assert {why.partition(":")[0] for _, why in results[1:]} == {
        "You may not let somebody stay longer than yourself"
    }


def test_everybody_sees_their_own_ends_and_no_others(team):
    team.token("narrow", user="member@x.org", project="Reef")
    assert team("member", "GET", "me").json()["until"] == {}
    set_end(team)
    project = team("owner", "GET", "projects/Reef").json()["id"]
    for caller in ("member", "narrow"):
        assert team(caller, "GET", "me").json()["until"] == {project: stamp(END)}
    for caller in ("admin", "owner", "operator"):
        assert team(caller, "GET", "me").json()["until"] == {}
    team.daemon.clock.advance(days=30)
    assert team("member", "GET", "me").json()["until"] == {}


def test_invitations_of_who_has_ended_are_revoked(team):
    set_end(team, "admin")
    team.daemon.clock.advance(days=29)
    sent = team.invite("admin", until=stamp(END)).json()
    team.daemon.clock.advance(days=1)
    team.daemon.settle()
    assert team("operator", "GET", f"invitations/{sent['id']}").json()["status"] == "revoked"


@pytest.mark.postgres
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_two_daemons_end_a_membership_once(make_daemon, cloud):
    settings = {"auth": "tokens", "user": "ada@x.org", "project_creation": "nobody"}
    first, second = make_daemon(**settings), make_daemon(**settings)
    team = Team(first, Http(first.app))
    set_end(team)
    first.clock.advance(days=30)
    with ThreadPoolExecutor(2) as both:
        done = [both.submit(daemon.member_end_loop.once) for daemon in (first, second)]
        assert sum(each.result() for each in done) >= 1
    assert len(events(team, "member_left")) == 1
