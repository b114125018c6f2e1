"""By how much a project has passed its money, where several caps count it."""

import pytest


@pytest.fixture
def over(lab):
    """Two allocations of a dollar each, and a disk on each of them that has cost more."""
    lab.project("lab")
    for name in ("one", "two"):
        lab.pool(name, 1.0)
        lab.allocate(name, "lab", 1.0)
        body = {"type": "ebs", "name": f"disk-{name}", "size_gb": 12}
        lab.made("storage/volumes/create", **body, project="lab", budget=name)
    lab.settle()
    for _ in range(9):
        lab.settle(hours=240)
    return lab


def test_what_several_allocations_are_passed_by_is_added_up(over):
    said = over.get("projects/lab/budget")
    each = [cap["spent"] - cap["amount"] for cap in said["caps"] if cap["scope"] == "allocation"]
    assert len(each) == 2
    assert min(each) > 1
    assert said["overrun"] == pytest.approx(sum(each), abs=0.01)
    assert said["overrun"] == -said["remaining"]


def test_a_cap_of_its_own_counts_the_same_money_not_more(over):
    """What two disks have cost is counted by their allocations and by the project's own cap."""
    spent = over.get("projects/lab/budget")["current_spend"]
    assert over.put("projects/lab", budget={"total_allocated": 100.0}).status_code == 200
    said = over.get("projects/lab/budget")
    assert said["overrun"] == pytest.approx(spent - 2, abs=0.01)


def test_a_cap_of_its_own_may_be_passed_by_more_than_its_allocations_are(lab):
    lab.project("lab", 3.0)
    lab.pool("one", 2.9)
    lab.allocate("one", "lab", 2.9)
    body = {"type": "ebs", "name": "disk", "size_gb": 30}
    lab.made("storage/volumes/create", **body, project="lab", budget="one")
    lab.settle()
    for _ in range(6):
        lab.settle(hours=240)
    assert lab.put("budgets/one", total_amount=50.0).status_code == 200
    [part] = lab.get("budgets/one/allocations")["allocations"]
    assert lab.put(f"allocations/{part['id']}", allocated_amount=50.0).status_code == 200
    said = lab.get("projects/lab/budget")
    assert said["overrun"] == pytest.approx(said["current_spend"] - 3, abs=0.01)
    assert said["overrun"] > 1
