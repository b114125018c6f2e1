"""An empty database, and machines that remember: they become workspaces again."""

from datetime import timedelta

import pytest

from prism.errors import Unavailable
from prism.workspaces.model import Observed
from tests.shapes import failed

ML = "Python Machine Learning (Simplified)"


@pytest.fixture
def lost_machines(daemon, http, start_on_empty_database, operator_type, clock, cloud):
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
    before = {entry["name"]: entry for entry in http("GET", "/api/v1/instances").json()}
    after = start_on_empty_database(daemon)
    after.settle()
    operator = operator_type(after)
    operator.before = before
    return operator


def test_what_nobody_knows_is_shown_with_its_age_and_without_asking_the_cloud(
    lost_machines, cloud
):
    calls_before = len(cloud.calls)
    orphans = {orphan["name"]: orphan for orphan in lost_machines.orphans()}
    assert len(cloud.calls) == calls_before, "a request never waits for a cloud"
    assert orphans.keys() == {"runs", "off", "asleep"}
    runs = orphans["runs"]
    assert (runs["id"], runs["owner"]) == (lost_machines.before["runs"]["id"], "ada")
    assert (runs["state"], runs["age_seconds"]) == ("running", 3604)
    assert (runs["template"], runs["instance_type"]) == (ML, "t3.medium")
    assert (runs["hourly_rate"], runs["cost_so_far"]) == (0.0, 0.0)
    assert orphans["off"]["state"] == "stopped"
    assert orphans["off"]["cost_so_far"] is None, "what it cost while it ran is not known"
    [place] = lost_machines.get("orphans")["places"]
    assert place["looked_at"] and place["problem"] is None


def test_recover_makes_them_workspaces_again(lost_machines, cloud):
    recovery = lost_machines.recover()
    assert [workspace["name"] for workspace in recovery["recovered"]] == ["runs", "off", "asleep"]
    assert recovery["left"] == []
    lost_machines.daemon.settle()
    assert lost_machines.states() == {"runs": "running", "off": "stopped", "asleep": "hibernated"}
    for workspace in lost_machines.get("instances"):
        was = lost_machines.before[workspace["name"]]
        ours = {"progress", "stage", "idle", "current_spend"}
        assert {k: v for k, v in workspace.items() if k not in ours} == {
            k: v for k, v in was.items() if k not in ours
        }
    assert not [call for call in cloud.calls if call.startswith("launch")][4:], "none is new"
    assert lost_machines.orphans() == []


def test_recovering_twice_is_recovering_once(lost_machines):
    first = lost_machines.recover()
    assert len(first["recovered"]) == 3
    assert lost_machines.recover() == {**first, "recovered": [], "left": []}
    lost_machines.daemon.settle()
    assert lost_machines.recover()["recovered"] == []
    assert len(lost_machines.get("instances")) == 3


def test_a_dry_run_says_what_would_be_and_writes_nothing(lost_machines):
    recovery = lost_machines.recover(dry_run=True)
    assert recovery["dry_run"]
    assert [workspace["name"] for workspace in recovery["recovered"]] == ["runs", "off", "asleep"]
    assert lost_machines.get("instances") == []
    assert [
        event.event
        for event in lost_machines.daemon.db.events_after(0)
        if "instance" in event.event
    ] == []
    done = lost_machines.recover()
    assert done["recovered"] == recovery["recovered"], "it says what then happens"


def test_what_was_recovered_obeys(lost_machines, http):
    lost_machines.recover()
    lost_machines.daemon.settle()
    for name, verb, state in (
        ("runs", "stop", "stopped"),
        ("off", "start", "running"),
        ("asleep", "resume", "running"),
    ):
        lost_machines.post(f"instances/{name}/{verb}", 200)
        lost_machines.daemon.settle()
        assert lost_machines.states()[name] == state


def test_it_goes_down_when_its_tags_say(lost_machines, clock):
    lost_machines.recover()
    clock.advance(hours=7)
    lost_machines.daemon.settle()
    assert lost_machines.states()["runs"] == "hibernated"


def test_a_name_that_is_taken_gets_a_tail_and_says_so(lost_machines):
    lost_machines.http.launch("runs")
    lost_machines.daemon.settle()
    recovered = {
        workspace["instance_id"]: workspace for workspace in lost_machines.recover()["recovered"]
    }
    renamed = recovered[lost_machines.before["runs"]["id"]]
    assert renamed["name"].startswith("runs-")
    assert "it was called 'runs'" in renamed["notes"]
    lost_machines.daemon.settle()
    assert sorted(lost_machines.states()) == sorted(["runs", renamed["name"], "off", "asleep"])


def test_what_somebody_else_launched_elsewhere_is_left_and_said(
    lost_machines, cloud, operator_type, make_daemon
):
    cloud.at_home = False
    other = make_daemon(user="eve")
    other.settle()
    eve = operator_type(other)
    recovery = eve.recover()
    assert recovery["recovered"] == []
    assert {leftover["name"] for leftover in recovery["left"]} == {"runs", "off", "asleep"}
    assert "ada launched it from another home" in recovery["left"][0]["why"]
    taken = eve.recover(everybody=True)["recovered"]
    assert [workspace["owner"] for workspace in taken] == ["ada"] * 3, "they stay hers"


def test_ones_own_are_taken_back_without_the_key(lost_machines, cloud):
    cloud.at_home = False
    lost_machines.daemon.settle()
    assert len(lost_machines.recover()["recovered"]) == 3


def test_one_orphan_is_adopted(lost_machines):
    id = lost_machines.before["off"]["id"]
    orphan = lost_machines.post(f"orphans/{id}/adopt", 201)
    assert (orphan["name"], orphan["state"], orphan["instance_id"]) == ("off", "stopped", id)
    assert {orphan["name"] for orphan in lost_machines.orphans()} == {"runs", "asleep"}
    failed(lost_machines.http("POST", f"/api/v1/orphans/{id}/adopt"), 404, "ORPHAN_NOT_FOUND")


def test_an_orphan_is_destroyed_when_it_is_confirmed(lost_machines, cloud):
    id = lost_machines.before["runs"]["id"]
    path = f"/api/v1/orphans/{id}/terminate"
    failed(lost_machines.http("POST", path, json={}), 422, "CONFIRMATION_REQUIRED")
    assert cloud.machine(id).seen is Observed.ON
    orphan = lost_machines.post(f"orphans/{id}/terminate", 200, confirm="DELETE")
    assert orphan["state"] == "terminating"
    terminate_calls = [call for call in cloud.calls if call.startswith("terminate")]
    lost_machines.daemon.settle()
    assert cloud.machine(id).seen is Observed.GONE
    assert [call for call in cloud.calls if call.startswith("terminate")] == [
        *terminate_calls,
        f"terminate {id}",
    ]
    assert lost_machines.states() == {"runs": "terminated"}
    assert {orphan["name"] for orphan in lost_machines.orphans()} == {"off", "asleep"}


@pytest.mark.postgres
def test_the_wish_to_destroy_survives_a_daemon_that_dies_at_once(
    lost_machines, cloud, make_daemon
):
    id = lost_machines.before["runs"]["id"]
    lost_machines.post(f"orphans/{id}/terminate", 200, confirm="DELETE")
    make_daemon().settle()
    assert cloud.machine(id).seen is Observed.GONE


def test_a_place_that_does_not_answer_keeps_what_was_seen_there(lost_machines, cloud):
    cloud.faults.down = True
    lost_machines.daemon.loop.patrol()
    assert len(lost_machines.orphans()) == 3
    assert lost_machines.get("orphans")["places"][0]["problem"]
    cloud.faults.down = False
    lost_machines.daemon.loop.patrol()
    assert lost_machines.get("orphans")["places"][0]["problem"] is None


def test_a_machine_that_cannot_be_asked_is_no_obstacle_to_the_patrol(
    lost_machines, cloud, monkeypatch
):
    def away(ids):
        raise Unavailable("not now")

    monkeypatch.setattr(cloud, "found", away)
    lost_machines.daemon.loop.patrol()
    assert len(lost_machines.orphans()) == 3


def test_who_has_a_row_is_no_orphan(daemon, http, operator_type):
    http.launch("mine")
    daemon.settle()
    assert operator_type(daemon).orphans() == []
    assert operator_type(daemon).recover()["recovered"] == []


def test_it_happened_in_somebodys_name(lost_machines):
    lost_machines.recover()
    facts = [
        event
        for event in lost_machines.daemon.db.events_after(0)
        if event.event == "instance_recovered"
    ]
    assert {fact.subject for fact in facts} == {"runs", "off", "asleep"}
    assert {fact.actor for fact in facts} == {"ada"}
    assert all(fact.data["machine"].startswith("i-") for fact in facts)


def test_what_vanishes_before_it_is_adopted_is_not_kept_as_if_it_were_there(
    lost_machines, cloud, clock
):
    id = lost_machines.before["runs"]["id"]
    cloud.vanish(id)
    lost_machines.post(f"orphans/{id}/adopt", 201)
    clock.advance(minutes=5)
    lost_machines.daemon.settle()
    assert lost_machines.states() == {"runs": "failed"}
