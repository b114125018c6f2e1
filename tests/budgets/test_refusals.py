"""Refusals name hours that would be granted; caps cannot shrink below reservations."""

import re
from datetime import timedelta

import pytest

from tests.optional import not_none
from tests.shapes import failed

BIG, DAILY = {"size": "XL", "ttl_hours": 24, "storage": {"ebs_volume_size": 8}}, "daily"


@pytest.mark.parametrize("ttl", [5, None])
def test_refused_extension_names_the_hours_that_would_be_granted(clocked_daemon, ttl):
    """The hours are counted from the present expiry."""
    clocked_daemon.project("lab", 4.0)
    clocked_daemon.running(project="lab", **({"ttl_hours": ttl} if ttl else {}))
    clocked_daemon.settle(minutes=30)
    fault = failed(clocked_daemon.verb("mine", "extend", hours=200), 403, "BUDGET_EXCEEDED")
    match = re.search(r"pays for ([0-9.]+) h of it", fault["details"])
    hours = int(float(not_none(match)[1]))
    assert hours > 10
    failed(clocked_daemon.verb("mine", "extend", hours=hours + 1), 403, "BUDGET_EXCEEDED")
    assert clocked_daemon.verb("mine", "extend", hours=hours).status_code == 204
    clocked_daemon.check_caps()


def test_earlier_expiry_releases_the_money_reserved_for_the_later_one(clocked_daemon):
    """A second workspace fits only when the first is to end sooner."""
    clocked_daemon.project("lab", 6.0)
    clocked_daemon.running(project="lab", ttl_hours=24)
    second = {"project": "lab", "ttl_hours": 24}
    failed(clocked_daemon.launch("other", **second), 403, "BUDGET_EXCEEDED")
    soon = clocked_daemon.clock.now() + timedelta(hours=1)
    assert clocked_daemon.verb("mine", "extend", expires_at=soon.isoformat()).status_code == 204
    assert clocked_daemon.launch("other", **second).status_code == 201
    clocked_daemon.check_caps()


@pytest.mark.parametrize("verb", ["start", "resume"])
def test_refused_start_names_the_missing_amount_and_no_hours(clocked_daemon, verb):
    clocked_daemon.project("lab", 2.2)
    clocked_daemon.running(project="lab", ttl_hours=5)
    clocked_daemon.settle(minutes=30)
    clocked_daemon.verb("mine", "hibernate")
    clocked_daemon.settle()
    clocked_daemon.made(
        "storage/volumes/create", type="ebs", name="data", size_gb=5, project="lab"
    )
    fault = failed(clocked_daemon.verb("mine", verb), 403, "BUDGET_EXCEEDED")
    assert " h of it" not in fault["details"]
    match = re.search(r"; \$([0-9.]+) more than is left", fault["details"])
    missing = float(not_none(match)[1])
    assert clocked_daemon.put(
        "projects/lab", budget={"total_allocated": 2.2 + missing - 0.02}
    ).status_code
    failed(clocked_daemon.verb("mine", verb), 403, "BUDGET_EXCEEDED")
    assert (
        clocked_daemon.put("projects/lab", budget={"total_allocated": 2.21 + missing}).status_code
        == 200
    )
    assert clocked_daemon.verb("mine", verb).status_code == 200
    clocked_daemon.check_caps()


@pytest.fixture
def before_midnight(clocked_daemon):
    """15 minutes before midnight, and a workspace that is reserved for all of the next day."""
    clocked_daemon.pool("grant", 20.0, DAILY)
    parts = [
        clocked_daemon.allocate("grant", clocked_daemon.project(name)["id"], 10.0)
        for name in ("mine", "yours")
    ]
    clocked_daemon.clock.advance(hours=23, minutes=45)
    assert clocked_daemon.launch(project="mine", **BIG).status_code == 201
    clocked_daemon.settle()
    return clocked_daemon, *(part["id"] for part in parts)


def test_allocation_cannot_shrink_below_the_reservations_of_its_next_period(before_midnight):
    lab, mine, yours = before_midnight
    fault = failed(lab.put(f"allocations/{mine}", allocated_amount=1.0), 409, "OVER_ALLOCATED")
    assert "in the period that begins on 2026-01-02 (UTC)" in fault["details"]
    ends = {"source_allocation_id": mine, "destination_allocation_id": yours}
    failed(lab.post("reallocations", **ends, amount=9.0), 409, "OVER_ALLOCATED")
    assert lab.put(f"allocations/{mine}", allocated_amount=9.0).status_code == 200
    lab.settle(hours=1)
    assert lab.state() == "running"
    lab.check_caps()


def test_pool_cannot_shrink_below_the_reservations_of_its_next_period(clocked_daemon):
    """The allocation shrinks first, so that it is not the reason of the refusal."""
    clocked_daemon.pool("grant", 20.0, DAILY)
    part = clocked_daemon.allocate("grant", clocked_daemon.project("mine")["id"], 10.0)
    clocked_daemon.clock.advance(hours=23, minutes=45)
    assert clocked_daemon.launch(project="mine", **BIG).status_code == 201
    clocked_daemon.settle()
    failed(
        clocked_daemon.put(f"allocations/{part['id']}", allocated_amount=5.0),
        409,
        "OVER_ALLOCATED",
    )
    assert clocked_daemon.put(f"allocations/{part['id']}", allocated_amount=8.5).status_code == 200
    failed(clocked_daemon.put("budgets/grant", total_amount=5.0), 409, "OVER_ALLOCATED")
    assert clocked_daemon.put("budgets/grant", total_amount=8.5).status_code == 200


def test_recreated_allocation_has_the_same_overspend_risk(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 100.0)
    part = clocked_daemon.allocate("grant", "lab", 100.0)
    clocked_daemon.running(project="lab", ttl_hours=80)
    clocked_daemon.settle(hours=72)
    clocked_daemon.verb("mine", "terminate", confirm="DELETE")
    clocked_daemon.settle()

    def risk():
        return clocked_daemon.get("projects/lab/budget")["budget_alerts"]["overspend_risk"]

    before = risk()
    assert clocked_daemon.http("DELETE", f"/api/v1/allocations/{part['id']}").status_code == 200
    clocked_daemon.allocate("grant", "lab", 100.0)
    assert risk() == before != "high"
    clocked_daemon.settle(hours=1, seconds=1)
    assert risk() == before
