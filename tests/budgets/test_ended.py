"""After a pool has ended, what is booked on it is said; and nothing that was spent is dropped."""

import pytest

from tests.shapes import failed

MONTH = 720


@pytest.fixture
def ended(lab):
    """A pool that ended a day after a workspace was launched on it; its disk has stayed."""
    lab.project("lab")
    lab.pool("grant", 20.0, end_date="2026-01-02T00:00:00Z")
    lab.allocate("grant", "lab", 20.0)
    lab.running(project="lab", storage={"ebs_volume_size": 200})
    lab.live(hours=24)
    assert lab.state() == "hibernated"
    lab.settle(hours=2 * MONTH)
    return lab


def test_what_is_booked_after_the_end_is_said(ended):
    pool = ended.get("budgets/grant")
    after = round(16.0 * 2, 2)
    assert pool["spent_after_end"] == pytest.approx(after, abs=0.01)
    assert pool["spent_amount"] == pool["spent"] == round(ended.recount() / 1e6, 2)
    assert pool["overrun"] == round(ended.recount() / 1e6 - 20, 2) > 10
    assert (pool["left"], pool["reserved"]) == (0.0, 0.0)
    [part] = ended.get("budgets/grant/allocations")["allocations"]
    assert part["spent_after_end"] == pool["spent_after_end"]
    for page in ("budget", "forecast"):
        caps = ended.get(f"projects/lab/{page}")["caps"]
        assert {cap["spent_after_end"] for cap in caps} == {pool["spent_after_end"]}
    assert ended.get("projects/lab/budget")["overrun"] == pool["overrun"]


def test_what_a_pool_that_has_ended_paid_is_told_by_its_cap_and_no_more_left(ended):
    [cap, _] = ended.get("projects/lab/budget")["caps"]
    shown = ended.get("projects/lab")["budget"]
    for said in (ended.get("projects/lab/budget"), shown):
        assert cap["spent"] == said["current_spend"] > 20
        assert (said["spent"], said["total_allocated"], said["left"]) == (0.0, 0.0, 0.0)


def test_an_end_that_has_passed_drops_nothing_that_was_spent(lab):
    lab.project("lab")
    lab.pool("grant", 100.0, "monthly")
    lab.allocate("grant", "lab", 5.0)
    lab.running(project="lab", ttl_hours=20)
    lab.live(hours=22)
    spent = lab.get("budgets/grant")["spent"]
    assert spent > 1.6
    moved = lab.put("budgets/grant", end_date="2026-01-01T00:30:00Z", total_amount=5.0)
    assert moved.status_code == 200, moved.text
    assert moved.json()["spent"] == spent
    [part] = lab.get("budgets/grant/allocations")["allocations"]
    assert lab.put(f"allocations/{part['id']}", allocated_amount=2.0).status_code == 409
    lab.verb("mine", "terminate", confirm="DELETE")
    lab.settle()
    lab.http("DELETE", f"/api/v1/allocations/{part['id']}")
    spent = lab.get("budgets/grant")["spent"]
    low = {"end_date": "2026-01-01T00:10:00Z", "total_amount": round(spent - 0.1, 2)}
    failed(lab.put("budgets/grant", **low), 409, "OVER_ALLOCATED")
    assert lab.get("budgets/grant")["total_amount"] == 5.0
