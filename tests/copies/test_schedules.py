"""Schedules, under a stopped clock."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from prism.copies.model import CopyState
from tests.copies.conftest import FULL
from tests.shapes import failed

HOUR, DAY = 3600, 86_400


@pytest.fixture
def scheduled(copying):
    copying.made()
    answer = copying.schedule(keep=3)
    assert answer.status_code == 201, answer.text
    copying.settle()
    return copying


def runs(copying):
    return len(copying.worker.orders)


def test_the_first_run_is_now_and_the_next_after_the_period(scheduled):
    assert runs(scheduled) == 1
    [order] = scheduled.worker.orders
    [schedule] = scheduled.schedules()
    assert (order.keep, order.label.schedule) == (3, schedule["id"])
    assert schedule["last_success"]
    assert not schedule["running"]
    scheduled.settle(DAY - 2 * HOUR)
    assert runs(scheduled) == 1
    scheduled.settle(3 * HOUR)
    assert runs(scheduled) == 2


def test_a_computer_that_slept_makes_up_for_one_run(scheduled):
    scheduled.settle(10 * DAY, steps=1)
    assert runs(scheduled) == 2
    [schedule] = scheduled.schedules()
    assert schedule["failure"] is None


def test_one_snapshot_stays_here(scheduled):
    assert len(scheduled.snapshots()) == 1
    first = scheduled.snapshots()
    for _ in range(3):
        scheduled.settle(DAY + HOUR, steps=1)
        assert len(scheduled.snapshots()) == 1
    assert scheduled.snapshots() != first


def test_only_the_remaining_copies_are_listed(scheduled):
    scheduled.worker.ends = replace(scheduled.worker.ends, remaining=frozenset({"remote-2"}))
    scheduled.settle(DAY + HOUR, steps=1)
    assert [copy["remote_id"] for copy in scheduled.copies()] == ["remote-2"]


def test_a_failure_degrades_the_daemon_and_is_tried_again_with_the_same_snapshot(scheduled):
    scheduled.worker.ends = replace(scheduled.worker.ends, state=CopyState.FAILED, trouble=FULL)
    scheduled.settle(DAY + 120, steps=1)
    assert runs(scheduled) == 2
    [schedule] = scheduled.schedules()
    assert schedule["failure"]["code"] == "DESTINATION_FULL"
    status = scheduled.http("GET", "/api/v1/daemon/status").json()
    assert status["status"] == "degraded"
    assert any("copy of data to /mnt/disk failed" in why for why in status["reasons"])
    assert [event.data["failure"] for event in scheduled.events_of("copy_schedule_ran")][-1]
    remaining = scheduled.snapshots()
    scheduled.settle(HOUR + 120, steps=1)
    assert runs(scheduled) == 3
    assert scheduled.snapshots() == remaining
    assert scheduled.worker.orders[1].snapshot == scheduled.worker.orders[2].snapshot
    scheduled.worker.ends = replace(scheduled.worker.ends, state=CopyState.COMPLETED, trouble=None)
    scheduled.settle(HOUR + 120, steps=1)
    assert len(scheduled.snapshots()) == 1
    assert scheduled.http("GET", "/api/v1/daemon/status").json()["status"] == "healthy"
    assert all(copy["state"] == "completed" for copy in scheduled.copies())


def test_a_long_failure_keeps_no_more_than_two_snapshots(scheduled):
    scheduled.worker.ends = replace(scheduled.worker.ends, state=CopyState.FAILED, trouble=FULL)
    for _ in range(12):
        scheduled.settle(DAY / 2, steps=1)
        assert len(scheduled.snapshots()) <= 2


def test_a_source_that_is_gone_is_told(scheduled):
    scheduled.delete()
    scheduled.settle(60)
    scheduled.settle(DAY, steps=1)
    [schedule] = scheduled.schedules()
    assert schedule["failure"]["code"] == "VOLUME_NOT_FOUND"


def test_a_cancelled_copy_is_a_failure_of_its_schedule(copying):
    copying.made()
    copying.worker.ends = None
    copying.schedule()
    copying.settle()
    [copy] = copying.copies()
    copying.http("DELETE", f"/api/v1/copies/{copy['id']}")
    copying.settle()
    [schedule] = copying.schedules()
    assert schedule["failure"]["code"] == "COPY_CANCELLED"


def test_an_ended_schedule_runs_no_more(scheduled):
    [schedule] = scheduled.schedules()
    answer = scheduled.http("DELETE", f"/api/v1/copy-schedules/{schedule['id']}")
    assert answer.status_code == 200
    scheduled.settle(3 * DAY, steps=1)
    assert runs(scheduled) == 1
    assert scheduled.schedules() == []
    assert len(scheduled.copies()) == 1
    again = scheduled.http("DELETE", f"/api/v1/copy-schedules/{schedule['id']}")
    failed(again, 404, "SCHEDULE_NOT_FOUND")


def test_a_second_schedule_to_the_same_place_is_refused(scheduled):
    fault = failed(scheduled.schedule(every="weekly"), 409, "ALREADY_EXISTS")
    assert "prism snapshot unschedule schedule_" in fault["remediation"]
    assert scheduled.schedule(destination="/mnt/other").status_code == 201


def test_a_workspace_is_copied_too(copying):
    copying.launched()
    copying.disks.machines[copying.workspace()["id"]] = "files of mine"
    answer = copying.schedule(volume=None, instance="mine", every="monthly")
    assert answer.status_code == 201, answer.text
    copying.settle()
    [order] = copying.worker.orders
    assert (order.label.source, order.label.source_name) == ("workspace", "mine")
    [schedule] = copying.schedules()
    assert schedule["source_type"] == "workspace"
    due = copying.clock.now() + timedelta(days=28)
    assert schedule["next_run"] > due.isoformat()[:10]


def test_repeated_failures_of_a_run_are_one_row(scheduled):
    scheduled.worker.ends = replace(scheduled.worker.ends, state=CopyState.FAILED, trouble=FULL)
    scheduled.settle(DAY + 120, steps=1)
    for _ in range(3):
        scheduled.settle(HOUR + 120, steps=1)
    assert runs(scheduled) == 5
    assert [copy["state"] for copy in scheduled.copies()] == ["completed", "failed"]
