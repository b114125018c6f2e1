"""A pool at a glance: who spent it, also who has no part of it any more."""

import pytest


@pytest.fixture
def spent(lab):
    """A pool of which one project spent, whose allocation was deleted, and then another."""
    lab.pool("grant", 30.0)
    for name in ("first", "second"):
        lab.project(name)
        part = lab.allocate("grant", name, 20.0)
        lab.running(f"of-{name}", project=name)
        lab.live(hours=2 if name == "first" else 1, step=30)
        lab.verb(f"of-{name}", "terminate", confirm="DELETE")
        lab.settle()
        lab.settle(hours=1)
        if name == "first":
            assert lab.http("DELETE", f"/api/v1/allocations/{part['id']}").status_code == 200
    return lab


@pytest.mark.postgres
def test_who_has_spent_is_named_also_without_an_allocation(spent):
    summary = spent.get("budgets/grant/summary")
    one, two = summary["top_spending_projects"]
    assert (one["project_name"], one["formerly"]) == ("first", True)
    assert (two["project_name"], two["formerly"]) == ("second", False)
    assert one["spent"] + two["spent"] == pytest.approx(summary["budget"]["spent"], abs=0.011)
    assert one["percentage"] + two["percentage"] == pytest.approx(100, abs=0.11)


def test_it_is_named_after_it_was_deleted_and_apart_from_one_of_its_name(spent):
    assert spent.http("DELETE", "/api/v1/projects/first").status_code == 200
    spent.project("first")
    spent.allocate("grant", "first", 5.0)
    summary = spent.get("budgets/grant/summary")
    said = [(it["project_name"], it["formerly"]) for it in summary["top_spending_projects"]]
    assert said == [("first", True), ("second", False)]


def test_an_alert_from_the_first_cent_says_nothing_before_that(lab):
    lab.pool("grant", 10.0, alert_threshold=0.0)
    summary = lab.get("budgets/grant/summary")
    assert (summary["status"], summary["alerts"]) == ("ok", [])
    lab.project("lab")
    lab.allocate("grant", "lab", 10.0)
    lab.running(project="lab")
    lab.settle(hours=1)
    summary = lab.get("budgets/grant/summary")
    assert summary["status"] == "warning"
    assert summary["alerts"]
