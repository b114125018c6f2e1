"""Reports name the pools and projects of past costs, even if deleted."""

from tests.access.people import Team
from tests.conftest import Http
from tests.shapes import failed

API = "/api/v1"
MONTH = "?month=2026-01"


def delete(clocked_daemon, path):
    response = clocked_daemon.http("DELETE", f"{API}/{path}")
    assert response.status_code == 200, response.text


def spend_on_pool(clocked_daemon, pool="grant"):
    """Run a workspace for two hours on a pool and terminate it; return the pool's id."""
    clocked_daemon.project("thesis")
    created = clocked_daemon.pool(pool, 100.0)
    part = clocked_daemon.allocate(pool, "thesis", 50.0)
    clocked_daemon.running(project="thesis")
    clocked_daemon.live(hours=2)
    clocked_daemon.verb("mine", "terminate", confirm="DELETE")
    clocked_daemon.settle()
    clocked_daemon.settle(minutes=6)  # so that the workspace is no longer listed
    delete(clocked_daemon, f"allocations/{part['id']}")
    return created["id"]


def test_report_names_a_deleted_pool(clocked_daemon):
    spend_on_pool(clocked_daemon)
    before = clocked_daemon.get(f"projects/thesis/report{MONTH}")
    assert [group["name"] for group in before["by_budget"]] == ["grant"]
    delete(clocked_daemon, "budgets/grant")
    assert clocked_daemon.get(f"projects/thesis/report{MONTH}") == before, (
        "deleting the pool does not change past reports"
    )


def test_report_separates_two_pools_of_the_same_name(clocked_daemon):
    old = spend_on_pool(clocked_daemon)
    delete(clocked_daemon, "budgets/grant")
    new = clocked_daemon.pool("grant", 100.0)["id"]
    clocked_daemon.allocate("grant", "thesis", 50.0)
    clocked_daemon.running("again", project="thesis")
    clocked_daemon.live(hours=1)
    report = clocked_daemon.get(f"projects/thesis/report{MONTH}")
    assert [group["name"] for group in report["by_budget"]] == [f"grant ({old})", f"grant ({new})"]
    assert all(group["cost"] > 0 for group in report["by_budget"])


def test_deleted_project_has_unchanged_report_history_and_export(clocked_daemon):
    spend_on_pool(clocked_daemon)
    id = clocked_daemon.get("projects/thesis")["id"]
    report = clocked_daemon.get(f"projects/thesis/report{MONTH}")
    history = clocked_daemon.get("costs/history?project=thesis")
    lines = clocked_daemon.get("costs/export")
    assert report["micros"] == clocked_daemon.recount() > 0
    delete(clocked_daemon, "projects/thesis")
    assert (
        clocked_daemon.get("costs/export")
        == clocked_daemon.get("costs/export?project=thesis")
        == lines
    )
    for word in ("thesis", id):
        assert clocked_daemon.get(f"projects/{word}/report{MONTH}") == report
        assert clocked_daemon.get(f"costs/history?project={word}") == history
    failed(clocked_daemon.http("GET", f"{API}/projects/thesis"), 404, "PROJECT_NOT_FOUND")
    failed(clocked_daemon.http("GET", f"{API}/projects/nobody/report"), 404, "PROJECT_NOT_FOUND")


def test_report_by_reused_name_is_of_the_new_project_and_by_id_of_the_old(clocked_daemon):
    spend_on_pool(clocked_daemon)
    old = clocked_daemon.get("projects/thesis")["id"]
    delete(clocked_daemon, "projects/thesis")
    clocked_daemon.project("thesis")
    assert clocked_daemon.get(f"projects/thesis/report{MONTH}")["micros"] == 0
    assert (
        clocked_daemon.get(f"projects/{old}/report{MONTH}")["micros"] == clocked_daemon.recount()
    )


def test_report_by_name_is_of_the_latest_deleted_project_of_that_name(clocked_daemon):
    spend_on_pool(clocked_daemon)
    delete(clocked_daemon, "projects/thesis")
    clocked_daemon.clock.advance(hours=1)
    clocked_daemon.project("thesis")
    delete(clocked_daemon, "projects/thesis")
    assert clocked_daemon.get(f"projects/thesis/report{MONTH}")["micros"] == 0


def test_report_of_a_deleted_project_is_visible_only_to_the_operator(make_daemon):
    """The memberships are deleted together with the project."""
    daemon = make_daemon(auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1")
    team = Team(daemon, Http(daemon.app))
    path = f"projects/{team.project}/report{MONTH}"
    assert team("viewer", "GET", path).status_code == 200
    assert team("owner", "DELETE", f"projects/{team.project}").status_code == 200
    assert team("operator", "GET", path).status_code == 200
    failed(team("operator", "PUT", f"projects/{team.project}", json={}), 404, "PROJECT_NOT_FOUND")
    for role in ("owner", "outside"):
        failed(team(role, "GET", path), 404, "PROJECT_NOT_FOUND")
