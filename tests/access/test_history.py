"""What became of a project's things stays its people's to read, and nobody else's."""

import re

import pytest

from prism.audit import service
from tests.shapes import failed


def read(team, who, query=""):
    """All that somebody reads of the log, page by page: once each."""
    path, found = f"/api/v1/audit?{query.lstrip(chr(38))}", []
    while path:
        page = team(who, "GET", path)
        found += page.json()
        link = re.search(r"<([^>]+)>", page.headers.get("link", ""))
        path = link[1] if link else ""
    return found


def of(team, who, name):
    return [it["event"] for it in read(team, who, f"&subject={name}")]


def settle(team, clock, seconds=3):
    for _ in range(4):
        clock.advance(seconds=seconds)
        team.daemon.settle()


@pytest.fixture
def shell(team, clock):
    """A member's workspace, in Reef; and a project Tide with an owner of its own."""
    assert team.launch("member", "shell").status_code == 201
    team.token("tide", scope="admin")
    founded = team("operator", "POST", "projects", json={"name": "Tide"})
    member = {"email": "tide@x.org", "role": "owner"}
    assert team("operator", "POST", "projects/Tide/members", json=member).status_code == 201
    team.tide = founded.json()["id"]
    settle(team, clock)
    return team


def test_a_workspace_that_is_forgotten_leaves_its_history(shell, clock):
    confirmed = {"confirm": "DELETE"}
    gone = shell("member", "POST", "instances/shell/terminate", json=confirmed)
    assert gone.status_code == 200, gone.text
    settle(shell, clock, 400)
    failed(shell("owner", "GET", "instances/shell"), 404, "INSTANCE_NOT_FOUND")
    told = of(shell, "operator", "shell")
    assert told[0] == "instance_forgotten"
    for who in ("owner", "viewer"):
        assert of(shell, who, "shell") == told
    assert of(shell, "outside", "shell") == of(shell, "tide", "shell") == []


def test_a_workspace_that_moves_leaves_its_past_where_it_was(shell, clock):
    past = of(shell, "owner", "shell")
    assert "instance_asked" in past
    moved = shell("operator", "POST", "instances/shell/move", json={"project": "Tide"})
    assert moved.status_code == 200, moved.text
    asked = shell("operator", "POST", "instances/shell/stop")
    assert asked.status_code == 200, asked.text
    settle(shell, clock)
    assert of(shell, "owner", "shell") == ["instance_moved", *past]
    theirs = of(shell, "tide", "shell")
    assert theirs[-1] == "instance_moved" and "instance_asked" in theirs[:-1]
    [fact] = read(shell, "tide", "&event=instance_moved")
    assert fact["before"]["project"] == shell.project
    assert fact["after"]["project"] == shell.tide


@pytest.mark.postgres
def test_of_facts_that_name_no_project_the_list_decides(shell):
    """As they were written once."""
    with shell.daemon.db.write() as tx:
        without = (
            "json_remove(data, '$.project')"
            if not shell.daemon.db.shared
            else ("data::jsonb - 'project'")
        )
        tx.sql.exec_driver_sql(f"UPDATE events SET data = {without} WHERE subject = 'shell'")
    told = of(shell, "operator", "shell")
    assert told and of(shell, "viewer", "shell") == told
    assert of(shell, "outside", "shell") == of(shell, "tide", "shell") == []


@pytest.mark.parametrize("span", [1, 7, 100_000])
def test_who_sees_a_part_finds_all_of_it_in_parts(shell, monkeypatch, span):
    monkeypatch.setattr(service, "SPAN", span)
    whole = read(shell, "operator")
    for who, project in (("viewer", shell.project), ("tide", shell.tide), ("outside", None)):
        mine = [it["id"] for it in read(shell, who)]
        hers = [it["id"] for it in whole if concerns(it, project, f"{who}@x.org")]
        assert mine == hers, "once each, the newest first"
        assert 0 < len(hers) < len(whole)
    assert read(shell, "viewer", "&limit=1") == read(shell, "viewer")


def concerns(entry, project, person):
    data = entry["data"]
    return (project and data.get("project") == project) or data.get("user") == person


def test_one_request_looks_through_a_part_of_the_log(shell, monkeypatch):
    monkeypatch.setattr(service, "SPAN", 3)
    answer = shell("outside", "GET", "audit")
    assert answer.json() == [] and 'rel="next"' in answer.headers["link"]
    assert len(shell("operator", "GET", "audit").json()) > 3


def test_a_projects_people_read_of_its_storage(shell, clock):
    volume = {"type": "efs", "name": "data", "project": "Reef"}
    assert shell("operator", "POST", "storage/volumes/create", json=volume).status_code == 201
    settle(shell, clock)
    copied = shell("operator", "POST", "snapshots", json={"name": "snap", "volume": "data"})
    assert copied.status_code == 201, copied.text
    settle(shell, clock)
    lent = shell("operator", "POST", "instances/shell/move", json={"project": "Tide"})
    assert lent.status_code == 200, lent.text
    attached = shell("operator", "POST", "storage/volumes/data/attach", json={"instance": "shell"})
    assert attached.status_code == 200, attached.text
    settle(shell, clock)
    for name in ("data", "snap"):
        told = of(shell, "operator", name)
        assert "volume_attached" in told or name == "snap"
        assert of(shell, "viewer", name) == told
        assert of(shell, "outside", name) == []
    assert of(shell, "tide", "data") == ["volume_attached"], "its workspace has borrowed it"
