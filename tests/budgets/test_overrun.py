"""By how much a project has passed its money, where several caps count it."""

import pytest


@pytest.fixture
def overrun(clocked_daemon):
    """Two allocations of a dollar each, and a disk on each of them that has cost more."""
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


def test_what_several_allocations_are_passed_by_is_added_up(overrun):
    budget = overrun.get("projects/lab/budget")
    each = [cap["spent"] - cap["amount"] for cap in budget["caps"] if cap["scope"] == "allocation"]
    assert len(each) == 2
    assert min(each) > 1
    assert budget["overrun"] == pytest.approx(sum(each), abs=0.01)
    assert budget["overrun"] == -budget["remaining"]


def test_a_cap_of_its_own_counts_the_same_money_not_more(overrun):
    """What two disks have cost is counted by their allocations and by the project's own cap."""
    spent = overrun.get("projects/lab/budget")["current_spend"]
    assert overrun.put("projects/lab", budget={"total_allocated": 100.0}).status_code == 200
    budget = overrun.get("projects/lab/budget")
    assert budget["overrun"] == pytest.approx(spent - 2, abs=0.01)


def test_a_cap_of_its_own_may_be_passed_by_more_than_its_allocations_are(clocked_daemon):
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
