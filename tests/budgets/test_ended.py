"""Pools that have ended: later costs are shown, and no spending is lost."""

import pytest

from tests.months import january
from tests.shapes import failed

MONTH = 720


@pytest.fixture
def ended_pool(clocked_daemon):
    """A pool that ended a day after a launch; the disk of the workspace still exists."""
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 20.0, end_date="2026-01-02T00:00:00Z")
    clocked_daemon.allocate("grant", "lab", 20.0)
    clocked_daemon.running(project="lab", storage={"ebs_volume_size": 200})
    clocked_daemon.live(hours=24)
    assert clocked_daemon.state() == "hibernated"
    clocked_daemon.settle(hours=2 * MONTH)
    return clocked_daemon


def test_ended_pool_shows_costs_booked_after_its_end(ended_pool):
    pool = ended_pool.get("budgets/grant")
    after = january(16_000_000, 24, 24 + 2 * MONTH) / 1e6
    assert pool["spent_after_end"] == pytest.approx(after, abs=0.01)
    assert pool["spent_amount"] == pool["spent"] == round(ended_pool.recount() / 1e6, 2)
    assert pool["overrun"] == round(ended_pool.recount() / 1e6 - 20, 2) > 10
    assert (pool["left"], pool["reserved"]) == (0.0, 0.0)
    [part] = ended_pool.get("budgets/grant/allocations")["allocations"]
    assert part["spent_after_end"] == pool["spent_after_end"]
    for page in ("budget", "forecast"):
        caps = ended_pool.get(f"projects/lab/{page}")["caps"]
        assert {cap["spent_after_end"] for cap in caps} == {pool["spent_after_end"]}
    assert ended_pool.get("projects/lab/budget")["overrun"] == pool["overrun"]


def test_ended_pool_counts_as_current_spend_but_not_in_the_project_totals(ended_pool):
    [cap, _] = ended_pool.get("projects/lab/budget")["caps"]
    summary = ended_pool.get("projects/lab")["budget"]
    for answer in (ended_pool.get("projects/lab/budget"), summary):
        assert cap["spent"] == answer["current_spend"] > 20
        assert (answer["spent"], answer["total_allocated"], answer["left"]) == (0.0, 0.0, 0.0)


def test_end_date_in_the_past_preserves_the_spent_amount(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 100.0, "monthly")
    clocked_daemon.allocate("grant", "lab", 5.0)
    clocked_daemon.running(project="lab", ttl_hours=20)
    clocked_daemon.live(hours=22)
    spent = clocked_daemon.get("budgets/grant")["spent"]
    assert spent > 1.6
    moved = clocked_daemon.put("budgets/grant", end_date="2026-01-01T00:30:00Z", total_amount=5.0)
    assert moved.status_code == 200, moved.text
    assert moved.json()["spent"] == spent
    [part] = clocked_daemon.get("budgets/grant/allocations")["allocations"]
    assert clocked_daemon.put(f"allocations/{part['id']}", allocated_amount=2.0).status_code == 409
    clocked_daemon.verb("mine", "terminate", confirm="DELETE")
    clocked_daemon.settle()
    clocked_daemon.http("DELETE", f"/api/v1/allocations/{part['id']}")
    spent = clocked_daemon.get("budgets/grant")["spent"]
    low = {"end_date": "2026-01-01T00:10:00Z", "total_amount": round(spent - 0.1, 2)}
    failed(clocked_daemon.put("budgets/grant", **low), 409, "OVER_ALLOCATED")
    assert clocked_daemon.get("budgets/grant")["total_amount"] == 5.0
