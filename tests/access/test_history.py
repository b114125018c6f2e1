"""Members of a project, and no others, read the audit log of what the project has or had."""

import re

import pytest

from prism.audit import service
from tests.shapes import failed


def read(team, caller, query=""):
    """All events that the caller can read, page by page."""
    path, facts = f"/api/v1/audit?{query.lstrip(chr(38))}", []
    while path:
        page = team(caller, "GET", path)
        facts += page.json()
        link = re.search(r"<([^>]+)>", page.headers.get("link", ""))
        path = link[1] if link else ""
    return facts


def event_names(team, caller, name):
    return [event["event"] for event in read(team, caller, f"&subject={name}")]


def settle(team, clock, seconds=3):
    for _ in range(4):
        clock.advance(seconds=seconds)
        team.daemon.settle()


@pytest.fixture
def team_with_workspace(team, clock):
    """A member's workspace, in Reef; and a project Tide with an owner of its own."""
    assert team.launch("member", "shell").status_code == 201
    team.token("tide", scope="admin")
    founded = team("operator", "POST", "projects", json={"name": "Tide"})
    member = {"email": "tide@x.org", "role": "owner"}
    assert team("operator", "POST", "projects/Tide/members", json=member).status_code == 201
    team.tide = founded.json()["id"]
    settle(team, clock)
    return team


def test_audit_log_of_a_forgotten_workspace_stays_readable_by_its_project(
    team_with_workspace, clock
):
    confirmed = {"confirm": "DELETE"}
    gone = team_with_workspace("member", "POST", "instances/shell/terminate", json=confirmed)
    assert gone.status_code == 200, gone.text
    settle(team_with_workspace, clock, 400)
    failed(team_with_workspace("owner", "GET", "instances/shell"), 404, "INSTANCE_NOT_FOUND")
    history = event_names(team_with_workspace, "operator", "shell")
    assert history[0] == "instance_forgotten"
    for role in ("owner", "viewer"):
        assert event_names(team_with_workspace, role, "shell") == history
    assert (
        event_names(team_with_workspace, "outside", "shell")
        == event_names(team_with_workspace, "tide", "shell")
        == []
    )


def test_events_before_a_move_stay_with_the_old_project(team_with_workspace, clock):
    past = event_names(team_with_workspace, "owner", "shell")
    assert "instance_asked" in past
    moved = team_with_workspace(
        "operator", "POST", "instances/shell/move", json={"project": "Tide"}
    )
    assert moved.status_code == 200, moved.text
    response = team_with_workspace("operator", "POST", "instances/shell/stop")
    assert response.status_code == 200, response.text
    settle(team_with_workspace, clock)
    assert event_names(team_with_workspace, "owner", "shell") == ["instance_moved", *past]
    theirs = event_names(team_with_workspace, "tide", "shell")
    assert theirs[-1] == "instance_moved" and "instance_asked" in theirs[:-1]
    [fact] = read(team_with_workspace, "tide", "&event=instance_moved")
    assert fact["before"]["project"] == team_with_workspace.project
    assert fact["after"]["project"] == team_with_workspace.tide


def test_event_without_a_project_is_visible_to_the_project_of_its_workspace(team_with_workspace):
    """Older versions wrote such events."""
    with team_with_workspace.daemon.db.write() as tx:
        without = (
            "json_remove(data, '$.project')"
            if not team_with_workspace.daemon.db.shared
            else ("data::jsonb - 'project'")
        )
        tx.sql.exec_driver_sql(f"UPDATE events SET data = {without} WHERE subject = 'shell'")
    history = event_names(team_with_workspace, "operator", "shell")
    assert history and event_names(team_with_workspace, "viewer", "shell") == history
    assert (
        event_names(team_with_workspace, "outside", "shell")
        == event_names(team_with_workspace, "tide", "shell")
        == []
    )


@pytest.mark.parametrize("span", [1, 7, 100_000])
def test_audit_log_pages_contain_each_visible_event_once(team_with_workspace, monkeypatch, span):
    monkeypatch.setattr(service, "SPAN", span)
    whole = read(team_with_workspace, "operator")
    for role, project in (
        ("viewer", team_with_workspace.project),
        ("tide", team_with_workspace.tide),
        ("outside", None),
    ):
        mine = [without_id(entry) for entry in read(team_with_workspace, role)]
        expected = [
            without_id(entry) for entry in whole if concerns(entry, project, f"{role}@x.org")
        ]
        assert mine == expected, "once each, the newest first"
        assert 0 < len(expected) < len(whole)
    assert read(team_with_workspace, "viewer", "&limit=1") == read(team_with_workspace, "viewer")


def without_id(entry):
    """An entry as everybody sees it: each person has other ids."""
    return {name: value for name, value in entry.items() if name != "id"}


def concerns(entry, project, person):
    data = entry["data"]
    return (project and data.get("project") == project) or data.get("user") == person


def test_audit_request_scans_at_most_one_span_of_the_log(team_with_workspace, monkeypatch):
    monkeypatch.setattr(service, "SPAN", 3)
    answer = team_with_workspace("outside", "GET", "audit")
    assert answer.json() == [] and 'rel="next"' in answer.headers["link"]
    assert len(team_with_workspace("operator", "GET", "audit").json()) > 3


def test_events_of_volumes_and_snapshots_are_visible_to_their_project(team_with_workspace, clock):
    volume = {"type": "efs", "name": "data", "project": "Reef"}
    assert (
        team_with_workspace("operator", "POST", "storage/volumes/create", json=volume).status_code
        == 201
    )
    settle(team_with_workspace, clock)
    copied = team_with_workspace(
        "operator", "POST", "snapshots", json={"name": "snap", "volume": "data"}
    )
    assert copied.status_code == 201, copied.text
    settle(team_with_workspace, clock)
    lent = team_with_workspace(
        "operator", "POST", "instances/shell/move", json={"project": "Tide"}
    )
    assert lent.status_code == 200, lent.text
    attached = team_with_workspace(
        "operator", "POST", "storage/volumes/data/attach", json={"instance": "shell"}
    )
    assert attached.status_code == 200, attached.text
    settle(team_with_workspace, clock)
    for name in ("data", "snap"):
        history = event_names(team_with_workspace, "operator", name)
        assert "volume_attached" in history or name == "snap"
        assert event_names(team_with_workspace, "viewer", name) == history
        assert event_names(team_with_workspace, "outside", name) == []
    assert event_names(team_with_workspace, "tide", "data") == ["volume_attached"], (
        "the volume is attached to its workspace"
    )
