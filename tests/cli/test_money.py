"""Money, for people."""

import json

import pytest

PROJECT = {
    "id": "proj_1",
    "name": "lab",
    "description": "",
    "budget": {
        "total_allocated": 1000.0,
        "current_spend": 310.5,
        "remaining": 689.5,
        "monthly_burn_rate": None,
        "alert_threshold": 80.0,
        "auto_hibernate_threshold": None,
        "prevent_launch_threshold": 100.0,
    },
    "members": [
        {"email": "ada@example.org", "role": "owner", "join_date": "2026-01-01T00:00:00Z"}
    ],
    "active_instances": 1,
    "total_instances": 3,
    "created_at": "2026-01-01T00:00:00Z",
}
PART = {
    "id": "alloc_1",
    "project_name": "lab",
    "allocated_amount": 100.0,
    "spent_amount": 5.0,
    "utilization_rate": 0.05,
    "remaining": 95.0,
}
HISTORY = {
    "period": "2_days",
    "total_cost": 12.5,
    "daily_costs": [
        {"date": "2026-01-01", "cost": 2.5, "instances": 1, "hibernation_savings": 0.0},
        {"date": "2026-01-02", "cost": 10.0, "instances": 1, "hibernation_savings": 0.0},
    ],
    "cost_trends": {
        "trend_direction": "increasing",
        "percentage_change": 300.0,
        "primary_driver": "$7.50 more for compute than in the first half of the period",
    },
}


def test_projects_with_their_money_below_each_other(prism, server):
    dear = PROJECT | {"name": "dear", "budget": PROJECT["budget"] | {"total_allocated": None}}
    server.on("GET /projects", [PROJECT, dear])
    head, lab, other = prism("project", "list").stdout.splitlines()
    assert head.split()[:4] == ["NAME", "BUDGET", "SPENT", "USED"]
    assert "$1,000.00  $310.50  ███░░░░░░░  31.1%" in lab
    assert other.index("$310.50") == lab.index("$310.50")


@pytest.mark.parametrize(
    ("words", "line", "body"),
    [
        ("project create lab", "POST /projects", {"name": "lab", "description": ""}),
        (
            "project create lab --budget 500 --hibernate 90 --owner ada@example.org",
            "POST /projects",
            {
                "name": "lab",
                "description": "",
                "budget": {"total_allocated": 500.0, "auto_hibernate_threshold": 90.0},
                "members": [{"email": "ada@example.org", "role": "owner"}],
            },
        ),
        (
            "project update lab --no-budget --rename new",
            "PUT /projects/lab",
            {"name": "new", "budget": {"total_allocated": None}},
        ),
        (
            "budget create grant 1000 --period monthly --time-zone Europe/Berlin --by pi@x.edu",
            "POST /budgets",
            {
                "name": "grant",
                "total_amount": 1000.0,
                "period": "monthly",
                "created_by": "pi@x.edu",
                "time_zone": "Europe/Berlin",
            },
        ),
        ("budget update grant --total 5", "PUT /budgets/grant", {"total_amount": 5.0}),
        (
            "allocation create grant lab 100 --by pi@x.edu",
            "POST /allocations",
            {
                "budget_id": "grant",
                "project_id": "lab",
                "allocated_amount": 100.0,
                "allocated_by": "pi@x.edu",
            },
        ),
        ("allocation update a --amount 7", "PUT /allocations/a", {"allocated_amount": 7.0}),
    ],
)
def test_what_is_said_is_what_is_asked(prism, server, words, line, body):
    server.on(line, {**PROJECT, **PART})
    done = prism(*words.split())
    assert done.returncode == 0, done.stderr
    assert server.asked_for(line)[0].body == body


def test_money_that_moves(prism, server):
    server.on("POST /reallocations", {"source": PART, "destination": PART})
    done = prism("allocation", "move", "a", "b", "20", "--reason", "a student")
    assert server.asked_for("POST /reallocations")[0].body == {
        "source_allocation_id": "a",
        "destination_allocation_id": "b",
        "amount": 20.0,
        "reason": "a student",
    }
    assert done.stdout.count("alloc_1") == 2


@pytest.mark.parametrize("noun", ["project", "budget", "allocation"])
def test_a_change_that_changes_nothing(prism, server, noun):
    assert prism(noun, "update", "x").returncode == 2
    assert not server.asked


def test_a_chart_of_letters(prism, server):
    server.on("GET /costs/history?granularity=daily", HISTORY)
    done = prism("cost", "history")
    first, second, total = done.stdout.splitlines()
    assert first.startswith("2026-01-01   $2.50  █")
    assert second.count("█") == 50
    assert first.count("█") == 12
    assert total.split() == ["total", "$12.50", "increasing", "(+300.0%)"]
    assert done.stderr == "$7.50 more for compute than in the first half of the period\n"
    plain = prism("cost", "history", PYTHONUTF8="0", PYTHONIOENCODING="ascii").stdout
    assert plain.count("#") == 62


def test_an_export_into_a_file(prism, server, tmp_path):
    server.on("GET /costs/export?format=csv&project=lab", {"a": 1})
    done = prism("cost", "export", "--project", "lab", "--output", str(tmp_path / "x.csv"))
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "x.csv").read_text()) == {"a": 1}


def test_a_report_on_the_screen(prism, server):
    path = "/projects/lab/report?month=2026-01&format=markdown"
    server.on(f"GET {path}", {"a": 1})
    assert json.loads(prism("report", "lab", "--month", "2026-01").stdout) == {"a": 1}
