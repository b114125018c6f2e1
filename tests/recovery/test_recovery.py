"""An empty database, and machines that become workspaces again."""

from datetime import timedelta

import pytest

from prism.errors import Unavailable
from prism.workspaces.model import Observed
from tests.shapes import failed

ML = "Python Machine Learning (Simplified)"


@pytest.fixture
def lost_machines(daemon, http, start_on_empty_database, operator_type, clock, cloud):
    """A running, a stopped, a hibernated and a terminated machine without rows."""
    cloud.busy = timedelta(0)  # changes are observed at once
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


def test_orphans_are_listed_with_age_and_price_without_calling_the_provider(lost_machines, cloud):
    calls_before = len(cloud.calls)
    orphans = {orphan["name"]: orphan for orphan in lost_machines.orphans()}
    assert len(cloud.calls) == calls_before, "a request does not call the provider"
    assert orphans.keys() == {"runs", "off", "asleep"}
    runs = orphans["runs"]
    assert (runs["id"], runs["owner"]) == (lost_machines.before["runs"]["id"], "ada")
    assert (runs["state"], runs["age_seconds"]) == ("running", 3604)
    assert (runs["template"], runs["instance_type"]) == (ML, "t3.medium")
    assert (runs["hourly_rate"], runs["cost_so_far"]) == (0.0, 0.0)
    assert orphans["off"]["state"] == "stopped"
    assert orphans["off"]["cost_so_far"] is None, "the cost before the stop is unknown"
    [place] = lost_machines.get("orphans")["places"]
    assert place["looked_at"] and place["problem"] is None


def test_recover_restores_workspaces_with_their_fields(lost_machines, cloud):
    recovery = lost_machines.recover()
    assert [workspace["name"] for workspace in recovery["recovered"]] == ["runs", "off", "asleep"]
    assert recovery["left"] == []
    lost_machines.daemon.settle()
    assert lost_machines.states() == {"runs": "running", "off": "stopped", "asleep": "hibernated"}
    for workspace in lost_machines.get("instances"):
        was = lost_machines.before[workspace["name"]]
        ours = {"progress", "stage", "idle", "current_spend", "last_request", "launched_by"}
        assert {k: v for k, v in workspace.items() if k not in ours} == {
            k: v for k, v in was.items() if k not in ours
        }
    assert not [call for call in cloud.calls if call.startswith("launch")][4:], (
        "no machine was launched"
    )
    assert lost_machines.orphans() == []


def test_second_recover_changes_nothing(lost_machines):
    first = lost_machines.recover()
    assert len(first["recovered"]) == 3
    assert lost_machines.recover() == {**first, "recovered": [], "left": []}
    lost_machines.daemon.settle()
    assert lost_machines.recover()["recovered"] == []
    assert len(lost_machines.get("instances")) == 3


def test_dry_run_of_recover_lists_its_result_and_writes_nothing(lost_machines):
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
    assert done["recovered"] == recovery["recovered"], "the dry run lists the same result"


def test_recovered_workspaces_can_be_stopped_started_and_resumed(lost_machines, http):
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


def test_recovered_workspace_hibernates_at_its_expiry(lost_machines, clock):
    lost_machines.recover()
    clock.advance(hours=7)
    lost_machines.daemon.settle()
    assert lost_machines.states()["runs"] == "hibernated"


def test_recovered_workspace_gets_another_name_if_its_name_is_used(lost_machines):
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


def test_machines_that_another_user_launched_elsewhere_are_left_and_listed(
    lost_machines, cloud, operator_type, make_daemon
):
    cloud.at_home = False
    other = make_daemon(user="eve")
    other.settle()
    eve = operator_type(other)
    recovery = eve.recover()
    assert recovery["recovered"] == []
    assert {leftover["name"] for leftover in recovery["left"]} == {"runs", "off", "asleep"}
    assert "ada launched it elsewhere" in recovery["left"][0]["why"]
    taken = eve.recover(everybody=True)["recovered"]
    assert [workspace["owner"] for workspace in taken] == ["ada"] * 3, "the owner is unchanged"


def test_own_machines_are_recovered_without_a_local_key(lost_machines, cloud):
    cloud.at_home = False
    lost_machines.daemon.settle()
    assert len(lost_machines.recover()["recovered"]) == 3


def test_orphan_is_adopted_by_its_id(lost_machines):
    id = lost_machines.before["off"]["id"]
    orphan = lost_machines.post(f"orphans/{id}/adopt", 201)
    assert (orphan["name"], orphan["state"], orphan["instance_id"]) == ("off", "stopped", id)
    assert {orphan["name"] for orphan in lost_machines.orphans()} == {"runs", "asleep"}
    failed(lost_machines.http("POST", f"/api/v1/orphans/{id}/adopt"), 404, "ORPHAN_NOT_FOUND")


def test_orphan_is_terminated_only_with_confirmation(lost_machines, cloud):
    id = lost_machines.before["runs"]["id"]
    path = f"/api/v1/orphans/{id}/terminate"
    failed(lost_machines.http("POST", path, json={}), 422, "CONFIRMATION_REQUIRED")
    assert cloud.machine(id).observed is Observed.ON
    orphan = lost_machines.post(f"orphans/{id}/terminate", 200, confirm="DELETE")
    assert orphan["state"] == "terminating"
    terminate_calls = [call for call in cloud.calls if call.startswith("terminate")]
    lost_machines.daemon.settle()
    assert cloud.machine(id).observed is Observed.GONE
    assert [call for call in cloud.calls if call.startswith("terminate")] == [
        *terminate_calls,
        f"terminate {id}",
    ]
    assert lost_machines.states() == {"runs": "terminated"}
    assert {orphan["name"] for orphan in lost_machines.orphans()} == {"off", "asleep"}


@pytest.mark.postgres
def test_termination_of_an_orphan_survives_a_daemon_crash(lost_machines, cloud, make_daemon):
    id = lost_machines.before["runs"]["id"]
    lost_machines.post(f"orphans/{id}/terminate", 200, confirm="DELETE")
    make_daemon().settle()
    assert cloud.machine(id).observed is Observed.GONE


def test_orphans_of_an_unreachable_location_stay_listed(lost_machines, cloud):
    cloud.faults.down = True
    lost_machines.daemon.loop.mark_due()
    assert len(lost_machines.orphans()) == 3
    assert lost_machines.get("orphans")["places"][0]["problem"]
    cloud.faults.down = False
    lost_machines.daemon.loop.mark_due()
    assert lost_machines.get("orphans")["places"][0]["problem"] is None


def test_survey_survives_a_failed_description_of_orphans(lost_machines, cloud, monkeypatch):
    def away(ids):
        raise Unavailable("not now")

    monkeypatch.setattr(cloud, "found", away)
    lost_machines.daemon.loop.mark_due()
    assert len(lost_machines.orphans()) == 3


def test_machine_with_a_row_is_not_an_orphan(daemon, http, operator_type):
    http.launch("mine")
    daemon.settle()
    assert operator_type(daemon).orphans() == []
    assert operator_type(daemon).recover()["recovered"] == []


def test_recovery_is_recorded_with_its_actor(lost_machines):
    lost_machines.recover()
    facts = [
        event
        for event in lost_machines.daemon.db.events_after(0)
        if event.event == "instance_recovered"
    ]
    assert {fact.subject for fact in facts} == {"runs", "off", "asleep"}
    assert {fact.actor for fact in facts} == {"ada"}
    assert all(fact.data["machine"].startswith("i-") for fact in facts)


def test_machine_that_vanishes_before_its_adoption_becomes_a_failed_workspace(
    lost_machines, cloud, clock
):
    id = lost_machines.before["runs"]["id"]
    cloud.vanish(id)
    lost_machines.post(f"orphans/{id}/adopt", 201)
    clock.advance(minutes=5)
    lost_machines.daemon.settle()
    assert lost_machines.states() == {"runs": "failed"}
