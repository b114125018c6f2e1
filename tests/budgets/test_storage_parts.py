"""Volumes and snapshots count against allocations, as everything else does."""

import pytest

from tests.shapes import failed

MONTH = 8_000_000  # 100 GB of gp3
VOLUMES = "/api/v1/storage/volumes"


def create(lab, name="data", size_gb=100, **more):
    body = {"type": "ebs", "name": name, "size_gb": size_gb, "project": "lab", **more}
    return lab.post("storage/volumes/create", **body)


@pytest.fixture
def allocated(lab):
    lab.project("lab")
    lab.pool("grant", 100.0)
    lab.allocate("grant", "lab", 10.0)
    return lab


def test_a_volume_counts_against_the_only_allocation(allocated):
    assert create(allocated).status_code == 201
    fault = failed(create(allocated, "more"), 403, "BUDGET_EXCEEDED")
    assert fault["message"].startswith("The allocation to 'lab' from 'grant'")
    assert "what is left pays for 7.5 of its 30 days" in fault["details"]
    allocated.settle()
    allocated.settle(hours=72)
    [part] = allocated.get("budgets/grant/allocations")["allocations"]
    assert (part["spent"], part["reserved"], part["left"]) == (0.8, 8.0, 1.2)
    budget = allocated.get("projects/lab/budget")
    assert (budget["spent"], budget["not_limited"]) == (0.8, [])
    failed(allocated.launch("w", project="lab", ttl_hours=99), 403, "BUDGET_EXCEEDED")
    allocated.keeps_every_cap()


def test_a_snapshot_is_paid_by_what_pays_for_its_volume(allocated):
    create(allocated)
    allocated.settle()
    assert allocated.post("snapshots", name="copy", volume="data").status_code == 403
    assert allocated.post("storage/volumes/create", type="ebs", name="small", size_gb=8,
                          project="lab").status_code == 201  # fmt: skip
    allocated.settle()
    assert allocated.post("snapshots", name="copy", volume="small").status_code == 201
    [part] = allocated.get("budgets/grant/allocations")["allocations"]
    held = [it for it in allocated.reservations() if it.name == "copy"]
    assert [it.allocation for it in held] == [part["id"]]


def test_of_several_budgets_one_is_named(allocated):
    allocated.pool("other", 100.0)
    allocated.allocate("other", "lab", 50.0)
    fault = failed(create(allocated), 422, "VALIDATION_FAILED")
    assert "has money from several: grant, other" in fault["details"]
    made = create(allocated, budget="other")
    assert made.status_code == 201, made.text
    allocated.settle()
    allocated.settle(hours=72)
    spent = {it["name"]: it["spent"] for it in allocated.get("budgets")["budgets"]}
    assert spent == {"grant": 0.0, "other": 0.8}
    failed(create(allocated, "x", budget="none"), 422, "VALIDATION_FAILED")
    failed(create(allocated, "x", budget="grant", project=None), 422, "VALIDATION_FAILED")


def test_what_was_there_before_is_said_and_then_paid_by_the_allocation(lab):
    lab.project("lab")
    create(lab)
    lab.settle()
    lab.settle(hours=72)
    lab.pool("grant", 100.0)
    lab.allocate("grant", "lab", 1.0)
    lab.settle(minutes=1)
    for page in ("budget", "forecast"):
        assert lab.get(f"projects/lab/{page}")["not_limited"] == ["data (volume)"], "too dear"
    [part] = lab.get("budgets/grant/allocations")["allocations"]
    assert lab.put(f"allocations/{part['id']}", allocated_amount=20.0).status_code == 200
    lab.settle(hours=24)
    lab.settle(hours=24)
    assert lab.get("projects/lab/budget")["not_limited"] == []
    assert lab.get("budgets/grant")["spent"] > 0


def test_an_allocation_may_go_before_its_volumes(allocated):
    """Nobody has to delete data because a grant is over."""
    create(allocated)
    allocated.settle()
    allocated.settle(hours=72)
    [part] = allocated.get("budgets/grant/allocations")["allocations"]
    assert allocated.http("DELETE", f"/api/v1/allocations/{part['id']}").status_code == 200
    allocated.settle(hours=72)
    assert allocated.get("budgets/grant")["spent"] == 0.8
    assert allocated.get("projects/lab/budget")["current_spend"] == 1.6
    assert allocated.http("GET", f"{VOLUMES}/data").json()["state"] == "available"
