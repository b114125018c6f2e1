"""Pools and projects come and go; what was spent keeps their names."""

from tests.access.people import Team
from tests.conftest import Http
from tests.shapes import failed

API = "/api/v1"
MONTH = "?month=2026-01"


def delete(lab, path):
    response = lab.http("DELETE", f"{API}/{path}")
    assert response.status_code == 200, response.text


def spent(lab, pool="grant"):
    """A workspace that ran for two hours on a pool and is gone; its project and pool remain."""
    lab.project("thesis")
    made = lab.pool(pool, 100.0)
    part = lab.allocate(pool, "thesis", 50.0)
    lab.running(project="thesis")
    lab.live(hours=2)
    lab.verb("mine", "terminate", confirm="DELETE")
    lab.settle()
    lab.settle(minutes=6)  # it is listed no more
    delete(lab, f"allocations/{part['id']}")
    return made["id"]


def test_a_report_names_a_pool_that_is_no_more(lab):
    spent(lab)
    before = lab.get(f"projects/thesis/report{MONTH}")
    assert [it["name"] for it in before["by_budget"]] == ["grant"]
    delete(lab, "budgets/grant")
    assert lab.get(f"projects/thesis/report{MONTH}") == before, "the past does not change"


def test_two_pools_of_one_name_are_two(lab):
    old = spent(lab)
    delete(lab, "budgets/grant")
    new = lab.pool("grant", 100.0)["id"]
    lab.allocate("grant", "thesis", 50.0)
    lab.running("again", project="thesis")
    lab.live(hours=1)
    report = lab.get(f"projects/thesis/report{MONTH}")
    assert [it["name"] for it in report["by_budget"]] == [f"grant ({old})", f"grant ({new})"]
    assert all(it["cost"] > 0 for it in report["by_budget"])


def test_a_deleted_project_keeps_its_name_its_report_and_its_costs(lab):
    spent(lab)
    id = lab.get("projects/thesis")["id"]
    report = lab.get(f"projects/thesis/report{MONTH}")
    history = lab.get("costs/history?project=thesis")
    lines = lab.get("costs/export")
    assert report["micros"] == lab.recount() > 0
    delete(lab, "projects/thesis")
    assert lab.get("costs/export") == lab.get("costs/export?project=thesis") == lines
    for word in ("thesis", id):
        assert lab.get(f"projects/{word}/report{MONTH}") == report
        assert lab.get(f"costs/history?project={word}") == history
    failed(lab.http("GET", f"{API}/projects/thesis"), 404, "PROJECT_NOT_FOUND")
    failed(lab.http("GET", f"{API}/projects/nobody/report"), 404, "PROJECT_NOT_FOUND")


def test_a_name_means_who_has_it_now_and_an_id_who_had_it(lab):
    spent(lab)
    old = lab.get("projects/thesis")["id"]
    delete(lab, "projects/thesis")
    lab.project("thesis")
    assert lab.get(f"projects/thesis/report{MONTH}")["micros"] == 0
    assert lab.get(f"projects/{old}/report{MONTH}")["micros"] == lab.recount()


def test_of_several_that_were_called_so_the_last_is_meant(lab):
    spent(lab)
    delete(lab, "projects/thesis")
    lab.clock.advance(hours=1)
    lab.project("thesis")
    delete(lab, "projects/thesis")
    assert lab.get(f"projects/thesis/report{MONTH}")["micros"] == 0


def test_the_report_of_a_deleted_project_is_the_operators_to_read(make_daemon):
    """Its members went with it."""
    daemon = make_daemon(auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1")
    team = Team(daemon, Http(daemon.app))
    path = f"projects/{team.project}/report{MONTH}"
    assert team("viewer", "GET", path).status_code == 200
    assert team("owner", "DELETE", f"projects/{team.project}").status_code == 200
    assert team("operator", "GET", path).status_code == 200
    failed(team("operator", "PUT", f"projects/{team.project}", json={}), 404, "PROJECT_NOT_FOUND")
    for who in ("owner", "outside"):
        failed(team(who, "GET", path), 404, "PROJECT_NOT_FOUND")
