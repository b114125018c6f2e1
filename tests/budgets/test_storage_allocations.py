"""Volumes and snapshots count against allocations."""

import pytest

from tests.shapes import failed

VOLUMES = "/api/v1/storage/volumes"


def create(clocked_daemon, name="data", size_gb=100, **more):
    body = {"type": "ebs", "name": name, "size_gb": size_gb, "project": "lab", **more}
    return clocked_daemon.post("storage/volumes/create", **body)


@pytest.fixture
def allocated_project(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 100.0)
    clocked_daemon.allocate("grant", "lab", 10.0)
    return clocked_daemon


def test_volume_counts_against_the_only_allocation(allocated_project):
    assert create(allocated_project).status_code == 201
    fault = failed(create(allocated_project, "more"), 403, "BUDGET_EXCEEDED")
    assert fault["message"].startswith("The allocation to 'lab' from 'grant'")
    assert "what is left pays for 8.7 of its 30 days" in fault["details"]
    allocated_project.settle()
    allocated_project.settle(hours=72)
    [part] = allocated_project.get("budgets/grant/allocations")["allocations"]
    assert (part["spent"], part["reserved"], part["left"]) == (0.77, 7.8, 1.43)
    budget = allocated_project.get("projects/lab/budget")
    assert (budget["spent"], budget["not_limited"]) == (0.77, [])
    failed(allocated_project.launch("w", project="lab", ttl_hours=99), 403, "BUDGET_EXCEEDED")
    allocated_project.check_caps()


def test_snapshot_is_paid_by_the_allocation_of_its_volume(allocated_project):
    create(allocated_project)
    allocated_project.settle()
    assert allocated_project.post("snapshots", name="copy", volume="data").status_code == 403
    assert allocated_project.post("storage/volumes/create", type="ebs", name="small", size_gb=8,
                          project="lab").status_code == 201  # fmt: skip
    allocated_project.settle()
    assert allocated_project.post("snapshots", name="copy", volume="small").status_code == 201
    [part] = allocated_project.get("budgets/grant/allocations")["allocations"]
    held = [
        reservation
        for reservation in allocated_project.reservations()
        if reservation.name == "copy"
    ]
    assert [reservation.allocation for reservation in held] == [part["id"]]


def test_volume_requires_a_budget_name_if_the_project_has_several(allocated_project):
    allocated_project.pool("other", 100.0)
    allocated_project.allocate("other", "lab", 50.0)
    fault = failed(create(allocated_project), 422, "VALIDATION_FAILED")
    assert "has money from several: grant, other" in fault["details"]
    volume = create(allocated_project, budget="other")
    assert volume.status_code == 201, volume.text
    allocated_project.settle()
    allocated_project.settle(hours=72)
    spent = {
        budget["name"]: budget["spent"] for budget in allocated_project.get("budgets")["budgets"]
    }
    assert spent == {"grant": 0.0, "other": 0.77}
    failed(create(allocated_project, "x", budget="none"), 422, "VALIDATION_FAILED")
    failed(create(allocated_project, "x", budget="grant", project=None), 422, "VALIDATION_FAILED")


def test_volume_older_than_its_allocation_is_paid_once_the_money_suffices(clocked_daemon):
    clocked_daemon.project("lab")
    create(clocked_daemon)
    clocked_daemon.settle()
    clocked_daemon.settle(hours=72)
    clocked_daemon.pool("grant", 100.0)
    clocked_daemon.allocate("grant", "lab", 1.0)
    clocked_daemon.settle(minutes=1)
    for page in ("budget", "forecast"):
        assert clocked_daemon.get(f"projects/lab/{page}")["not_limited"] == ["data (volume)"], (
            "the allocation is too small for the volume"
        )
    [part] = clocked_daemon.get("budgets/grant/allocations")["allocations"]
    assert (
        clocked_daemon.put(f"allocations/{part['id']}", allocated_amount=20.0).status_code == 200
    )
    clocked_daemon.settle(hours=24)
    clocked_daemon.settle(hours=24)
    assert clocked_daemon.get("projects/lab/budget")["not_limited"] == []
    assert clocked_daemon.get("budgets/grant")["spent"] > 0


def test_allocation_can_be_deleted_before_its_volumes(allocated_project):
    """Users need not delete data when a grant ends."""
    create(allocated_project)
    allocated_project.settle()
    allocated_project.settle(hours=72)
    [part] = allocated_project.get("budgets/grant/allocations")["allocations"]
    assert allocated_project.http("DELETE", f"/api/v1/allocations/{part['id']}").status_code == 200
    allocated_project.settle(hours=72)
    assert allocated_project.get("budgets/grant")["spent"] == 0.77
    assert allocated_project.get("projects/lab/budget")["current_spend"] == 1.55
    assert allocated_project.http("GET", f"{VOLUMES}/data").json()["state"] == "available"
