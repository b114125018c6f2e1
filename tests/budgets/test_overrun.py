"""By how much a project has exceeded its budget, if several caps apply."""

import pytest

from tests.shapes import failed


@pytest.fixture
def overrun(clocked_daemon):
    """Two allocations of a dollar each, and on each a disk that has cost more."""
    clocked_daemon.project("lab")
    for name in ("one", "two"):
        clocked_daemon.pool(name, 1.0)
        clocked_daemon.allocate(name, "lab", 1.0)
        body = {"type": "ebs", "name": f"disk-{name}", "size_gb": 12}
        clocked_daemon.made("storage/volumes/create", **body, project="lab", budget=name)
    clocked_daemon.settle()
    for _ in range(9):
        clocked_daemon.settle(hours=240)
    return clocked_daemon


def test_project_overrun_is_the_sum_over_its_allocations(overrun):
    budget = overrun.get("projects/lab/budget")
    each = [cap["spent"] - cap["amount"] for cap in budget["caps"] if cap["scope"] == "allocation"]
    assert len(each) == 2
    assert min(each) > 1
    assert budget["overrun"] == pytest.approx(sum(each), abs=0.01)
    assert budget["overrun"] == -budget["remaining"]


def test_project_cap_does_not_count_allocation_overruns_twice(overrun):
    """The cost of two disks counts against their allocations and the project's own cap."""
    spent = overrun.get("projects/lab/budget")["current_spend"]
    assert overrun.put("projects/lab", budget={"total_allocated": 100.0}).status_code == 200
    budget = overrun.get("projects/lab/budget")
    assert budget["overrun"] == pytest.approx(spent - 2, abs=0.01)


def test_overrun_of_the_project_cap_can_exceed_that_of_its_allocations(clocked_daemon):
    clocked_daemon.project("lab", 3.0)
    clocked_daemon.pool("one", 2.9)
    clocked_daemon.allocate("one", "lab", 2.9)
    body = {"type": "ebs", "name": "disk", "size_gb": 30}
    clocked_daemon.made("storage/volumes/create", **body, project="lab", budget="one")
    clocked_daemon.settle()
    for _ in range(6):
        clocked_daemon.settle(hours=240)
    assert clocked_daemon.put("budgets/one", total_amount=50.0).status_code == 200
    [part] = clocked_daemon.get("budgets/one/allocations")["allocations"]
    assert (
        clocked_daemon.put(f"allocations/{part['id']}", allocated_amount=50.0).status_code == 200
    )
    budget = clocked_daemon.get("projects/lab/budget")
    assert budget["overrun"] == pytest.approx(budget["current_spend"] - 3, abs=0.01)
    assert budget["overrun"] > 1


def test_refused_launch_names_the_command_that_raises_the_spent_cap(overrun):
    """A project's own cap has another command, which would not help."""
    [part] = overrun.get("budgets/one/allocations")["allocations"]
    refused = failed(overrun.launch(project="lab", budget="one"), 403, "BUDGET_EXCEEDED")
    assert f"`prism allocation update {part['id']}`" in refused["remediation"]
