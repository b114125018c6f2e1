"""The routes of pools, allocations and project budgets."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from prism.budgets.store import reallocations
from tests.months import january, seconds_paid
from tests.shapes import EXAMPLES, failed, shaped_like

API = "/api/v1"
ASKED = EXAMPLES["POST budgets"]["request"] | {"start_date": "2026-01-01T00:00:00Z"}


@pytest.fixture
def shared_pool(clocked_daemon):
    """A pool, two projects with allocations from it, and some spending."""
    pool = clocked_daemon.pool("grant", 1000.0)
    clocked_daemon.project("one")
    other = clocked_daemon.project("other")
    parts = [
        clocked_daemon.allocate("grant", "one", 600.0),
        clocked_daemon.allocate(pool["id"], other["id"], 100.0),
    ]
    clocked_daemon.running("mine", project="one")
    clocked_daemon.live(hours=6)
    return clocked_daemon, pool, parts


def test_pool_reads_equal_the_created_pool(clocked_daemon):
    response = clocked_daemon.http("POST", f"{API}/budgets", json=ASKED)
    pool = shaped_like("POST budgets", response, 201)
    assert pool | ASKED == pool, "the answer contains the requested fields"
    answer = shaped_like(
        "GET budgets/{budget_id}", clocked_daemon.http("GET", f"{API}/budgets/{pool['id']}")
    )
    assert answer == pool
    listed = shaped_like("GET budgets", clocked_daemon.http("GET", f"{API}/budgets"))
    assert listed == {"budgets": [pool], "count": 1}
    assert clocked_daemon.get("budgets/NIH%20Grant%20R01-2025-67890") == pool


def test_pool_update_changes_only_the_given_fields(shared_pool):
    lab, pool, _ = shared_pool
    before = lab.get(f"budgets/{pool['id']}")
    lab.clock.advance(seconds=1)
    change = EXAMPLES["PUT budgets/{budget_id}"]["request"]
    response = lab.http("PUT", f"{API}/budgets/{pool['id']}", json=change)
    after = shaped_like("GET budgets/{budget_id}", response)
    assert after["remaining_amount"] == round(175000 - after["spent_amount"], 2)
    moved = {"remaining_amount", "left", "utilization_rate", "updated_at"}
    same = set(before) - set(change) - moved
    assert {k: after[k] for k in same} == {k: before[k] for k in same}
    failed(lab.put(f"budgets/{pool['id']}", total_amount=699.99), 409, "OVER_ALLOCATED")


def test_pool_is_deleted_only_after_its_allocations(shared_pool):
    lab, pool, parts = shared_pool
    failed(lab.http("DELETE", f"{API}/budgets/grant"), 409, "IN_USE")
    failed(lab.http("DELETE", f"{API}/allocations/{parts[0]['id']}"), 409, "IN_USE")
    lab.verb("mine", "terminate", confirm="DELETE")
    lab.settle()
    for part in parts:
        assert lab.http("DELETE", f"{API}/allocations/{part['id']}").status_code == 200
    assert lab.get("budgets/grant")["spent_amount"] == 0.51, (
        "deleting the allocations preserves the spending"
    )
    gone = shaped_like("DELETE budgets/{budget_id}", lab.http("DELETE", f"{API}/budgets/grant"))
    assert gone == {"message": "Budget deleted successfully"}
    failed(lab.http("GET", f"{API}/budgets/{pool['id']}"), 404, "BUDGET_NOT_FOUND")


def test_pool_summary_and_allocations_contain_the_spending_by_project(shared_pool):
    lab, _, _ = shared_pool
    path = f"{API}/budgets/grant/summary"
    summary = shaped_like("GET budgets/{budget_id}/summary", lab.http("GET", path))
    spent = summary["budget"]["spent_amount"]
    assert spent == round((6 * 83_200 + january(1_600_000, 0, 6)) / 1e6, 2) == 0.51
    assert summary["budget"]["utilization_rate"] == 0.0005, "rounded to four decimal places"
    assert summary["status"] == "ok"
    [first] = summary["top_spending_projects"]
    assert (first["project_name"], first["spent"], first["percentage"]) == ("one", spent, 100.0)
    path = f"{API}/budgets/grant/allocations"
    parts = shaped_like("GET budgets/{budget_id}/allocations", lab.http("GET", path))
    assert {
        allocation["project_name"]: allocation["spent_amount"]
        for allocation in parts["allocations"]
    } == {
        "one": spent,
        "other": 0.0,
    }
    assert parts["count"] == 2


def test_allocation_beyond_the_pool_is_rejected(shared_pool):
    lab, pool, parts = shared_pool
    lab.project("third")
    body = {"budget_id": pool["id"], "project_id": "third", "allocated_by": "pi@x.edu"}
    fault = failed(lab.post("allocations", **body, allocated_amount=300.01), 409, "OVER_ALLOCATED")
    assert "only $300.00 left to allocate; you asked for $300.01 more" in fault["message"]
    more = lab.put(f"allocations/{parts[0]['id']}", allocated_amount=900.01)
    failed(more, 409, "OVER_ALLOCATED")
    assert lab.post("allocations", **body, allocated_amount=300.0).status_code == 201
    failed(lab.post("allocations", **body, allocated_amount=1.0), 409, "ALREADY_EXISTS")


def test_reallocation_moves_only_free_money_and_is_recorded(shared_pool):
    lab, _, (first, other) = shared_pool
    ends = {"source_allocation_id": first["id"], "destination_allocation_id": other["id"]}
    [allocation] = [
        allocation
        for allocation in lab.get("budgets/grant/allocations")["allocations"]
        if allocation["id"] == first["id"]
    ]
    free = 600 - allocation["spent_amount"] - allocation["reserved_amount"]
    failed(lab.post("reallocations", **ends, amount=round(free + 0.02, 2)), 409, "OVER_ALLOCATED")
    moved = lab.made("reallocations", **ends, amount=200.0, reason="a new student")
    assert moved["source"]["allocated_amount"] == 400.0
    assert moved["destination"]["allocated_amount"] == 300.0
    assert lab.get("budgets/grant")["allocated_amount"] == 700.0
    with lab.daemon.db.read() as sql:
        [record] = sql.execute(select(reallocations)).all()
    expected = (first["id"], other["id"], 200_000_000, "a new student")
    assert (record.source, record.destination, record.amount, record.reason) == expected
    facts = [event.data for event in lab.events("allocation_changed") if event.data["reason"]]
    assert [(fact["before"], fact["after"]) for fact in facts] == [
        ({"amount": 600_000_000}, {"amount": 400_000_000}),
        ({"amount": 100_000_000}, {"amount": 300_000_000}),
    ]


def test_reallocation_to_another_pool_or_to_itself_is_rejected(shared_pool):
    lab, _, (first, _) = shared_pool
    lab.pool("other grant", 100.0)
    far = lab.allocate("other grant", "other", 50.0)
    body = {"source_allocation_id": first["id"], "amount": 1.0}
    for other in (far["id"], first["id"]):
        wrong = lab.post("reallocations", **body, destination_allocation_id=other)
        failed(wrong, 422, "VALIDATION_FAILED")
    gone = lab.post("reallocations", **body, destination_allocation_id="alloc_0")
    failed(gone, 404, "ALLOCATION_NOT_FOUND")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "},
        {"total_amount": 0},
        {"period": "hourly"},
        {"end_date": "2025-01-01T00:00:00Z"},
        {"end_date": "2026-01-01T00:00:00Z", "start_date": "2026-01-01T00:00:00Z"},
        {"start_date": "2026-01-01T00:00:00"},
        {"start_date": "0001-01-01T00:00:00+14:00"},
        {"name": "Grant\n"},
        {"alert_threshold": 80},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
    ],
)
def test_invalid_pool_is_rejected(clocked_daemon, wrong):
    failed(
        clocked_daemon.http("POST", f"{API}/budgets", json=ASKED | wrong), 422, "VALIDATION_FAILED"
    )


@pytest.mark.parametrize(
    "wrong", [{"end_date": "2025-01-01T00:00:00Z"}, {"time_zone": "Mars/Olympus"}]
)
def test_invalid_pool_update_is_rejected_without_effect(clocked_daemon, wrong):
    before = clocked_daemon.pool("grant", 10.0)
    changed = clocked_daemon.http("PUT", f"{API}/budgets/grant", json=wrong)
    failed(changed, 422, "VALIDATION_FAILED")
    assert clocked_daemon.get("budgets/grant")["updated_at"] == before["updated_at"]


def test_pool_before_its_start_date_is_listed_with_zero_spending(clocked_daemon):
    clocked_daemon.pool("next year", 10.0, start_date="2027-01-01T00:00:00Z")
    [listed] = clocked_daemon.get("budgets")["budgets"]
    assert (listed["name"], listed["spent_amount"]) == ("next year", 0.0)


def test_duplicate_pool_name_is_rejected(clocked_daemon):
    clocked_daemon.pool("grant")
    again = {"name": "grant", "total_amount": 1, "period": "project", "created_by": "x"}
    failed(clocked_daemon.post("budgets", **again), 409, "ALREADY_EXISTS")


def test_project_budget_contains_costs_savings_and_top_instances(clocked_daemon):
    clocked_daemon.project("lab", 70.0)
    clocked_daemon.running("dear", project="lab")
    clocked_daemon.running("cheap", size="XS", project="lab")
    clocked_daemon.live(hours=6)
    clocked_daemon.verb("dear", "hibernate")
    clocked_daemon.settle()
    clocked_daemon.live(hours=3)
    path = f"{API}/projects/lab/budget"
    money = shaped_like("GET projects/{project_id}/budget", clocked_daemon.http("GET", path))
    assert money["current_spend"] == round(clocked_daemon.recount() / 1e6, 2)
    assert money["cost_breakdown"]["data_transfer"] is None, "data transfer is not measured"
    assert money["hibernation_savings"] == round(3 * 0.0832, 2)
    assert [instance["name"] for instance in money["top_spending_instances"]] == ["dear", "cheap"]
    assert money["budget_alerts"]["overspend_risk"] == "low", "the dear one sleeps"


def test_cost_analysis_and_forecast_contain_burn_and_run_out_date(clocked_daemon):
    clocked_daemon.project("lab", 100.0)
    clocked_daemon.running("mine", project="lab")
    clocked_daemon.settle(minutes=44)
    clocked_daemon.settle(minutes=15)
    path = f"{API}/projects/lab/cost-analysis"
    early = shaped_like(
        "GET projects/{project_id}/cost-analysis", clocked_daemon.http("GET", path)
    )
    assert early["current_monthly_burn"] is None, "no burn rate in the first hour"
    clocked_daemon.settle(minutes=1)
    clocked_daemon.live(hours=4)
    later = clocked_daemon.get("projects/lab/cost-analysis")
    month = 720 * 0.0832 + january(1_600_000, 0, 720) / 1e6  # 30 days of the disk, in January
    assert later["current_monthly_burn"] == round(month, 2)
    assert later["projected_monthly_burn"] == round(720 * 0.0832 + 1.6, 2), "rates of 720 hours"
    assert later["hibernation_potential_savings"] is None
    assert later["optimization_recommendations"] == []
    forecast = clocked_daemon.get("projects/lab/forecast")
    monthly = 720 * 0.0832 + 1.6
    rates = {"hourly": round(monthly / 720, 4), "daily": round(monthly / 30, 2)}
    assert {name: forecast[name] for name in rates} == rates
    assert forecast["monthly"] == round(monthly, 2)
    [(_, settled, reserved)], [held] = clocked_daemon.balances(), clocked_daemon.reservations()
    left = 100_000_000 - settled - reserved
    gone = held.until + seconds_paid(left, 83_200, 1_600_000, held.disk_until)
    later = clocked_daemon.clock.now() + timedelta(seconds=gone - clocked_daemon.now)
    assert forecast["runs_out"] == forecast["runs_out_on"] == f"{later:%Y-%m-%dT%H:%M:%SZ}"


def test_monthly_report_contains_hibernation_savings(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.running("mine", project="lab")
    clocked_daemon.verb("mine", "hibernate")
    clocked_daemon.settle()
    clocked_daemon.settle(hours=10)
    report = clocked_daemon.get("projects/lab/report")
    assert report["total"] == round(january(1_600_000, 0, 10) / 1e6, 2)
    assert report["hibernation_savings"] == round(10 * 0.0832, 2)


def test_monthly_report_is_returned_as_json_html_markdown_and_csv(clocked_daemon):
    clocked_daemon.project("The *lab*")
    clocked_daemon.running("mine", project="The *lab*")
    clocked_daemon.settle(hours=10)
    path = f"{API}/projects/The%20*lab*/report?month=2026-01"
    report = clocked_daemon.http("GET", path).json()
    assert report["micros"] == clocked_daemon.recount()
    assert round(sum(group["cost"] for group in report["by_kind"]), 2) == report["total"]
    web = clocked_daemon.http("GET", f"{path}&format=html")  # what the GUI links to
    assert web.headers["content-type"] == "text/html; charset=utf-8"
    assert web.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert f"Spent: <strong>${report['total']:,.2f}</strong>" in web.text
    page = clocked_daemon.http("GET", f"{path}&format=markdown")
    assert page.headers["content-type"] == "text/markdown; charset=utf-8"
    assert page.text.startswith("# The \\*lab\\*: 2026-01\n")
    assert f"time zone UTC. Spent: **${report['total']:.2f}**" in page.text
    csv = clocked_daemon.http("GET", f"{path}&format=csv")
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    table = csv.text
    assert table.splitlines()[1] == "kind,compute,0.83,97.5,832000"
    for month in ("2026-13", "0000-01", "9999-12", "٢٠٢٦-01"):
        failed(
            clocked_daemon.http("GET", path.replace("2026-01", month)), 422, "VALIDATION_FAILED"
        )


def test_launch_requires_a_budget_name_if_the_project_has_several(clocked_daemon):
    clocked_daemon.pool("grant", 1000.0)
    clocked_daemon.pool("gift", 1000.0)
    clocked_daemon.pool("empty", 1000.0)
    for name in ("one", "two", "none"):
        clocked_daemon.project(name)
    clocked_daemon.allocate("grant", "one", 100.0)
    clocked_daemon.allocate("grant", "two", 100.0)
    clocked_daemon.allocate("gift", "two", 100.0)
    failed(clocked_daemon.launch(budget="grant"), 422, "VALIDATION_FAILED")
    # The answer for a pool of other projects equals that for an unknown pool.
    absent, wrong = (
        failed(clocked_daemon.launch(project="one", budget=name), 422, "VALIDATION_FAILED")[
            "details"
        ]
        for name in ("nope", "empty")
    )
    assert "these do: grant" in wrong
    assert absent == wrong.replace("empty", "nope")
    several = failed(clocked_daemon.launch(project="two"), 422, "VALIDATION_FAILED")
    assert "gift, grant" in several["details"]
    for name, order in {
        "a": {"project": "one"},
        "b": {"project": "two", "budget": "gift"},
        "c": {"project": "none"},
    }.items():
        assert clocked_daemon.launch(name, **order).status_code == 201
    tags = {workspace["name"]: workspace["tags"] for workspace in clocked_daemon.get("instances")}
    assert tags == {
        "a": {"Project": "one", "Budget": "grant"},
        "b": {"Project": "two", "Budget": "gift"},
        "c": {"Project": "none"},
    }


def test_project_counts_its_workspaces_and_is_not_deleted_while_in_use(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.running("a", project="lab")
    clocked_daemon.running("b", project="lab")
    clocked_daemon.verb("b", "stop")
    clocked_daemon.settle()
    project = clocked_daemon.get("projects/lab")
    assert (project["active_instances"], project["total_instances"]) == (1, 2)
    failed(clocked_daemon.http("DELETE", f"{API}/projects/lab"), 409, "IN_USE")
    assert clocked_daemon.put("projects/lab", name="renamed").status_code == 200
    assert {workspace["tags"]["Project"] for workspace in clocked_daemon.get("instances")} == {
        "renamed"
    }
    assert len(clocked_daemon.get("instances?project=renamed")) == 2
    clocked_daemon.project("empty")
    clocked_daemon.pool("grant")
    part = clocked_daemon.allocate("grant", "empty", 1.0)
    fault = failed(clocked_daemon.http("DELETE", f"{API}/projects/empty"), 409, "IN_USE")
    assert f"`prism allocation delete {part['id']}`" in fault["remediation"]
    clocked_daemon.http("DELETE", f"{API}/allocations/{part['id']}")
    assert clocked_daemon.http("DELETE", f"{API}/projects/empty").status_code == 200
