"""The summary of a pool names all projects that spent from it."""

import pytest


@pytest.fixture
def spent_pool(clocked_daemon):
    """A pool of which one project spent, whose allocation was deleted, and then another."""
    clocked_daemon.pool("grant", 30.0)
    for name in ("first", "second"):
        clocked_daemon.project(name)
        part = clocked_daemon.allocate("grant", name, 20.0)
        clocked_daemon.running(f"of-{name}", project=name)
        clocked_daemon.live(hours=2 if name == "first" else 1, step=30)
        clocked_daemon.verb(f"of-{name}", "terminate", confirm="DELETE")
        clocked_daemon.settle()
        clocked_daemon.settle(hours=1)
        if name == "first":
            assert (
                clocked_daemon.http("DELETE", f"/api/v1/allocations/{part['id']}").status_code
                == 200
            )
    return clocked_daemon


def test_summary_names_a_project_whose_allocation_was_deleted(spent_pool):
    summary = spent_pool.get("budgets/grant/summary")
    first, two = summary["top_spending_projects"]
    assert (first["project_name"], first["formerly"]) == ("first", True)
    assert (two["project_name"], two["formerly"]) == ("second", False)
    assert first["spent"] + two["spent"] == pytest.approx(summary["budget"]["spent"], abs=0.011)
    assert first["percentage"] + two["percentage"] == pytest.approx(100, abs=0.11)


def test_summary_separates_a_deleted_project_from_a_new_project_of_that_name(spent_pool):
    assert spent_pool.http("DELETE", "/api/v1/projects/first").status_code == 200
    spent_pool.project("first")
    spent_pool.allocate("grant", "first", 5.0)
    summary = spent_pool.get("budgets/grant/summary")
    spenders = [
        (project["project_name"], project["formerly"])
        for project in summary["top_spending_projects"]
    ]
    assert spenders == [("first", True), ("second", False)]


def test_alert_threshold_of_zero_warns_only_after_spending_begins(clocked_daemon):
    clocked_daemon.pool("grant", 10.0, alert_threshold=0.0)
    summary = clocked_daemon.get("budgets/grant/summary")
    assert (summary["status"], summary["alerts"]) == ("ok", [])
    clocked_daemon.project("lab")
    clocked_daemon.allocate("grant", "lab", 10.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.settle(hours=1)
    summary = clocked_daemon.get("budgets/grant/summary")
    assert summary["status"] == "warning"
    assert summary["alerts"]
