"""An empty database, and machines that remember: they become workspaces again."""

from datetime import timedelta

import pytest

from prism.errors import Unavailable
from prism.workspaces.model import Observed
from tests.shapes import failed

ML = "Python Machine Learning (Simplified)"


@pytest.fixture
def lost(daemon, http, start_anew, desk, clock, cloud):
    """One that runs, one that is stopped, one that sleeps, one that is terminated; no row."""
    cloud.busy = timedelta(0)  # what changes at once is seen at once
    for name in ("runs", "off", "asleep", "gone"):
        http.launch(name, ttl_hours=8, size="S")
        clock.advance(seconds=1)
    daemon.settle()
    clock.advance(hours=1)
    http.post("off", "stop")
    http.post("asleep", "hibernate")
    http.post("gone", "terminate", json={"confirm": "DELETE"})
    daemon.settle()
    before = {it["name"]: it for it in http("GET", "/api/v1/instances").json()}
    after = start_anew(daemon)
    after.settle()
    found = desk(after)
    found.before = before
    return found


def test_what_nobody_knows_is_shown_with_its_age_and_without_asking_the_cloud(lost, cloud):
    asked = len(cloud.calls)
    found = {it["name"]: it for it in lost.orphans()}
    assert len(cloud.calls) == asked, "a request never waits for a cloud"
    assert found.keys() == {"runs", "off", "asleep"}
    runs = found["runs"]
    assert (runs["id"], runs["owner"]) == (lost.before["runs"]["id"], "ada")
    assert (runs["state"], runs["age_seconds"]) == ("running", 3604)
    assert (runs["template"], runs["instance_type"]) == (ML, "t3.medium")
    assert (runs["hourly_rate"], runs["cost_so_far"]) == (0.0, 0.0)
    assert found["off"]["state"] == "stopped"
    assert found["off"]["cost_so_far"] is None, "what it cost while it ran is not known"
    [place] = lost.get("orphans")["places"]
    assert place["looked_at"] and place["problem"] is None


def test_recover_makes_them_workspaces_again(lost, cloud):
    said = lost.recover()
    assert [it["name"] for it in said["recovered"]] == ["runs", "off", "asleep"]
    assert said["left"] == []
    lost.daemon.settle()
    assert lost.states() == {"runs": "running", "off": "stopped", "asleep": "hibernated"}
    for it in lost.get("instances"):
        was = lost.before[it["name"]]
        ours = {"progress", "stage", "idle", "current_spend"}
        assert {k: v for k, v in it.items() if k not in ours} == {
            k: v for k, v in was.items() if k not in ours
        }
    assert not [call for call in cloud.calls if call.startswith("launch")][4:], "none is new"
    assert lost.orphans() == []


def test_recovering_twice_is_recovering_once(lost):
    first = lost.recover()
    assert len(first["recovered"]) == 3
    assert lost.recover() == {**first, "recovered": [], "left": []}
    lost.daemon.settle()
    assert lost.recover()["recovered"] == []
    assert len(lost.get("instances")) == 3


def test_a_dry_run_says_what_would_be_and_writes_nothing(lost):
    said = lost.recover(dry_run=True)
    assert said["dry_run"]
    assert [it["name"] for it in said["recovered"]] == ["runs", "off", "asleep"]
    assert lost.get("instances") == []
    assert [it.event for it in lost.daemon.db.facts_after(0) if "instance" in it.event] == []
    done = lost.recover()
    assert done["recovered"] == said["recovered"], "it says what then happens"


def test_what_was_recovered_obeys(lost, http):
    lost.recover()
    lost.daemon.settle()
    for name, verb, state in (
        ("runs", "stop", "stopped"),
        ("off", "start", "running"),
        ("asleep", "resume", "running"),
    ):
        lost.post(f"instances/{name}/{verb}", 200)
        lost.daemon.settle()
        assert lost.states()[name] == state


def test_it_goes_down_when_its_tags_say(lost, clock):
    lost.recover()
    clock.advance(hours=7)
    lost.daemon.settle()
    assert lost.states()["runs"] == "hibernated"


def test_a_name_that_is_taken_gets_a_tail_and_says_so(lost):
    lost.http.launch("runs")
    lost.daemon.settle()
    said = {it["instance_id"]: it for it in lost.recover()["recovered"]}
    it = said[lost.before["runs"]["id"]]
    assert it["name"].startswith("runs-")
    assert "it was called 'runs'" in it["notes"]
    lost.daemon.settle()
    assert sorted(lost.states()) == sorted(["runs", it["name"], "off", "asleep"])


@pytest.mark.postgres
def test_what_somebody_else_launched_elsewhere_is_left_and_said(lost, cloud, desk, make_daemon):
    cloud.at_home = False
    other = make_daemon(user="eve")
    other.settle()
    eve = desk(other)
    said = eve.recover()
    assert said["recovered"] == []
    assert {it["name"] for it in said["left"]} == {"runs", "off", "asleep"}
    assert "ada launched it from another home" in said["left"][0]["why"]
    taken = eve.recover(everybody=True)["recovered"]
    assert [it["owner"] for it in taken] == ["ada"] * 3, "they stay hers"


def test_ones_own_are_taken_back_without_the_key(lost, cloud):
    cloud.at_home = False
    lost.daemon.settle()
    assert len(lost.recover()["recovered"]) == 3


def test_one_orphan_is_adopted(lost):
    id = lost.before["off"]["id"]
    it = lost.post(f"orphans/{id}/adopt", 201)
    assert (it["name"], it["state"], it["instance_id"]) == ("off", "stopped", id)
    assert {it["name"] for it in lost.orphans()} == {"runs", "asleep"}
    failed(lost.http("POST", f"/api/v1/orphans/{id}/adopt"), 404, "ORPHAN_NOT_FOUND")


def test_an_orphan_is_destroyed_when_it_is_confirmed(lost, cloud):
    id = lost.before["runs"]["id"]
    path = f"/api/v1/orphans/{id}/terminate"
    failed(lost.http("POST", path, json={}), 422, "CONFIRMATION_REQUIRED")
    assert cloud.machine(id).seen is Observed.ON
    it = lost.post(f"orphans/{id}/terminate", 200, confirm="DELETE")
    assert it["state"] == "terminating"
    asked = [call for call in cloud.calls if call.startswith("terminate")]
    lost.daemon.settle()
    assert cloud.machine(id).seen is Observed.GONE
    assert [call for call in cloud.calls if call.startswith("terminate")] == [
        *asked,
        f"terminate {id}",
    ]
    assert lost.states() == {"runs": "terminated"}
    assert {it["name"] for it in lost.orphans()} == {"off", "asleep"}


@pytest.mark.postgres
def test_the_wish_to_destroy_survives_a_daemon_that_dies_at_once(lost, cloud, make_daemon):
    id = lost.before["runs"]["id"]
    lost.post(f"orphans/{id}/terminate", 200, confirm="DELETE")
    make_daemon().settle()
    assert cloud.machine(id).seen is Observed.GONE


def test_a_place_that_does_not_answer_keeps_what_was_seen_there(lost, cloud):
    cloud.faults.down = True
    lost.daemon.loop.patrol()
    assert len(lost.orphans()) == 3
    assert lost.get("orphans")["places"][0]["problem"]
    cloud.faults.down = False
    lost.daemon.loop.patrol()
    assert lost.get("orphans")["places"][0]["problem"] is None


def test_a_machine_that_cannot_be_asked_is_no_obstacle_to_the_patrol(lost, cloud, monkeypatch):
    def away(ids):
        raise Unavailable("not now")

    monkeypatch.setattr(cloud, "found", away)
    lost.daemon.loop.patrol()
    assert len(lost.orphans()) == 3


def test_who_has_a_row_is_no_orphan(daemon, http, desk):
    http.launch("mine")
    daemon.settle()
    assert desk(daemon).orphans() == []
    assert desk(daemon).recover()["recovered"] == []


def test_it_happened_in_somebodys_name(lost):
    lost.recover()
    facts = [it for it in lost.daemon.db.facts_after(0) if it.event == "instance_recovered"]
    assert {it.subject for it in facts} == {"runs", "off", "asleep"}
    assert {it.actor for it in facts} == {"ada"}
    assert all(it.data["machine"].startswith("i-") for it in facts)


def test_what_vanishes_before_it_is_adopted_is_not_kept_as_if_it_were_there(lost, cloud, clock):
    id = lost.before["runs"]["id"]
    cloud.vanish(id)
    lost.post(f"orphans/{id}/adopt", 201)
    clock.advance(minutes=5)
    lost.daemon.settle()
    assert lost.states() == {"runs": "failed"}
