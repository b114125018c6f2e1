"""Pools and projects come and go; what was spent keeps their names."""

from tests.access.people import Team
from tests.conftest import Http
from tests.shapes import failed

API = "/api/v1"
MONTH = "?month=2026-01"


def delete(clocked_daemon, path):
    response = clocked_daemon.http("DELETE", f"{API}/{path}")
    assert response.status_code == 200, response.text


def spent(clocked_daemon, pool="grant"):
    """A workspace that ran for two hours on a pool and is gone; its project and pool remain."""
    clocked_daemon.project("thesis")
    created = clocked_daemon.pool(pool, 100.0)
    part = clocked_daemon.allocate(pool, "thesis", 50.0)
    clocked_daemon.running(project="thesis")
    clocked_daemon.live(hours=2)
    clocked_daemon.verb("mine", "terminate", confirm="DELETE")
    clocked_daemon.settle()
    clocked_daemon.settle(minutes=6)  # it is listed no more
    delete(clocked_daemon, f"allocations/{part['id']}")
    return created["id"]


def test_a_report_names_a_pool_that_is_no_more(clocked_daemon):
    spent(clocked_daemon)
    before = clocked_daemon.get(f"projects/thesis/report{MONTH}")
    assert [group["name"] for group in before["by_budget"]] == ["grant"]
    delete(clocked_daemon, "budgets/grant")
    assert clocked_daemon.get(f"projects/thesis/report{MONTH}") == before, (
        "the past does not change"
    )


def test_two_pools_of_one_name_are_two(clocked_daemon):
    old = spent(clocked_daemon)
    delete(clocked_daemon, "budgets/grant")
    new = clocked_daemon.pool("grant", 100.0)["id"]
    clocked_daemon.allocate("grant", "thesis", 50.0)
    clocked_daemon.running("again", project="thesis")
    clocked_daemon.live(hours=1)
    report = clocked_daemon.get(f"projects/thesis/report{MONTH}")
    assert [group["name"] for group in report["by_budget"]] == [f"grant ({old})", f"grant ({new})"]
    assert all(group["cost"] > 0 for group in report["by_budget"])


def test_a_deleted_project_keeps_its_name_its_report_and_its_costs(clocked_daemon):
    spent(clocked_daemon)
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


def test_a_name_means_who_has_it_now_and_an_id_who_had_it(clocked_daemon):
    spent(clocked_daemon)
    old = clocked_daemon.get("projects/thesis")["id"]
    delete(clocked_daemon, "projects/thesis")
    clocked_daemon.project("thesis")
    assert clocked_daemon.get(f"projects/thesis/report{MONTH}")["micros"] == 0
    assert (
        clocked_daemon.get(f"projects/{old}/report{MONTH}")["micros"] == clocked_daemon.recount()
    )


def test_of_several_that_were_called_so_the_last_is_meant(clocked_daemon):
    spent(clocked_daemon)
    delete(clocked_daemon, "projects/thesis")
    clocked_daemon.clock.advance(hours=1)
    clocked_daemon.project("thesis")
    delete(clocked_daemon, "projects/thesis")
    assert clocked_daemon.get(f"projects/thesis/report{MONTH}")["micros"] == 0


def test_the_report_of_a_deleted_project_is_the_operators_to_read(make_daemon):
    """Its members went with it."""
    daemon = make_daemon(auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1")
    team = Team(daemon, Http(daemon.app))
    path = f"projects/{team.project}/report{MONTH}"
    assert team("viewer", "GET", path).status_code == 200
    assert team("owner", "DELETE", f"projects/{team.project}").status_code == 200
    assert team("operator", "GET", path).status_code == 200
    failed(team("operator", "PUT", f"projects/{team.project}", json={}), 404, "PROJECT_NOT_FOUND")
    for role in ("owner", "outside"):
        failed(team(role, "GET", path), 404, "PROJECT_NOT_FOUND")
