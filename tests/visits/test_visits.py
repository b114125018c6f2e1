"""Whoever enters a workspace of somebody else is seen by its owner: who, how, and how long."""

import asyncio
from datetime import timedelta

import pytest

from prism.visits.model import WayIn
from prism.visits.service import VisitService
from tests.access.people import Team
from tests.conftest import Http


@pytest.fixture
def team(make_daemon, cloud):
    cloud.busy = timedelta(0)
    daemon = make_daemon(auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1")
    team = Team(daemon, Http(daemon.app))
    assert team.launch("member", "mine").status_code == 201
    daemon.settle()
    return team


def visits(team, caller="member"):
    answer = team(caller, "GET", "instances/mine/visits")
    assert answer.status_code == 200, answer.text
    return answer.json()["visits"]


def events(team, name):
    entries = team("member", "GET", f"audit?event={name}&limit=500").json()
    return [(entry["actor"], entry["data"]["way"]) for entry in entries]


def test_every_way_in_of_somebody_else_is_recorded_and_none_of_the_owner(team):
    ways = (
        ("GET", "instances/mine/files", "files"),
        ("GET", "instances/mine/files/content?path=x", "files"),
        ("POST", "instances/mine/files/folder", "files"),
        ("GET", "instances/mine/connect", "secrets"),
        ("GET", "/web-proxy/mine/x?port=8888", "app"),
        ("GET", "logs/mine/types", "logs"),
    )
    for method, path, _ in ways:
        team("member", method, path, json={"path": "x"} if method == "POST" else None)
    assert visits(team) == [] and events(team, "instance_entered") == []
    for caller in ("admin", "owner", "operator"):
        before = len(visits(team))
        for method, path, _ in ways:
            team(caller, method, path, json={"path": "x"} if method == "POST" else None)
        assert len(visits(team)) == before + 4
    person = {visit["person"] for visit in visits(team)}
    assert person == {"admin@x.org", "owner@x.org", "ada@x.org"}
    assert {visit["way"] for visit in visits(team)} == {way for _, _, way in ways}
    assert len(events(team, "instance_entered")) == 12
    for caller in ("viewer", "outside"):
        for method, path, _ in ways:
            team(caller, method, path, json={"path": "x"} if method == "POST" else None)
    assert len(visits(team)) == 12, "who is refused has not entered"


def test_visit_without_requests_ends_once_when_it_was_last_seen(team, clock):
    assert team("admin", "GET", "instances/mine/connect").status_code == 200
    clock.advance(minutes=2)
    assert team("admin", "GET", "instances/mine/connect").status_code == 200
    team.daemon.settle()
    [visit] = visits(team)
    assert visit["ended_at"] is None
    clock.advance(minutes=5)
    for _ in range(3):
        team.daemon.settle()
    [visit] = visits(team)
    assert visit["began_at"] == "2026-01-01T00:00:00Z"
    assert visit["ended_at"] == "2026-01-01T00:02:00Z"
    assert events(team, "instance_left") == [("admin@x.org", "secrets")]
    assert team("admin", "GET", "instances/mine/connect").status_code == 200
    assert [visit["ended_at"] is None for visit in visits(team)] == [True, False]


def test_owner_sees_the_visit_in_the_stream_and_in_the_events_of_the_workspace(team):
    assert team("admin", "GET", "instances/mine/connect").status_code == 200
    rows = team("member", "GET", "instances/mine/events").json()
    [row] = [row for row in rows if row["event"] == "instance_entered"]
    assert row["actor"] == "admin@x.org" and row["data"]["owner"] == "member@x.org"


def test_connection_is_a_visit_while_it_lasts_also_after_a_kill(team, clock):
    """A daemon that was killed says nothing; the next one ends its visits."""
    daemon = team.daemon
    workspace = daemon.read_model.pages.named("mine").workspace
    caller = daemon.tokens.authenticate(team.tokens["admin"])

    async def stay():
        async with daemon.visits.during(workspace, caller, WayIn.TERMINAL):
            await asyncio.to_thread(stay_longer)
            async with daemon.visits.during(workspace, caller, WayIn.TERMINAL):
                await asyncio.to_thread(is_one)
            await asyncio.to_thread(is_one)

    def stay_longer():
        for _ in range(4):
            clock.advance(minutes=4)
            daemon.settle()
        is_one()

    def is_one():
        assert [visit["ended_at"] for visit in visits(team)] == [None]

    asyncio.run(stay())
    [visit] = visits(team)
    assert (visit["began_at"], visit["ended_at"]) == (
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:16:00Z",
    )
    killed = VisitService(daemon.db, clock)
    killed.begin((workspace.id, "admin@x.org", WayIn.SSH))
    clock.advance(minutes=6)
    for _ in range(3):
        daemon.settle()
    assert all(visit["ended_at"] for visit in visits(team))
    assert len(events(team, "instance_left")) == 2


def test_nobody_enters_if_it_cannot_be_recorded(team, monkeypatch):
    def fail(key):
        raise OSError("the disk is gone")

    monkeypatch.setattr(team.daemon.visits, "begin", fail)
    for path in ("instances/mine/connect", "instances/mine/files", "/web-proxy/mine/x?port=1"):
        assert team("admin", "GET", path).status_code == 500
    assert team("member", "GET", "instances/mine/connect").status_code == 200
