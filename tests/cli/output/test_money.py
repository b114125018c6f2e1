"""`prism project`, `budget`, `allocation`, `cost`, `report` and `audit`: amounts."""

import json
from typing import Any

import msgspec
import pytest

from prism.budgets.model import NewAllocation, NewPool
from prism.cli.output.money import usd
from prism.projects.model import NewProject

MADE = {"POST /projects": NewProject, "POST /budgets": NewPool, "POST /allocations": NewAllocation}

PROJECT: dict[str, Any] = {
    "id": "proj_1",
    "name": "lab",
    "description": "",
    "budget": {
        "total_allocated": 1000.0,
        "current_spend": 310.5,
        "remaining": 689.5,
        "spent": 310.5,
        "reserved": 1.7,
        "left": 687.8,
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
    "reserved": 2.0,
    "left": 93.0,
}
HISTORY = {
    "period": "2_days",
    "total_cost": 12.5,
    "daily_costs": [
        {"date": "2026-01-01", "cost": 2.5, "instances": 1, "hibernation_savings": 0.0},
        {"date": "2026-01-02", "cost": 10.0, "instances": 1, "hibernation_savings": 0.0},
    ],
    "unpriced": [],
    "cost_trends": {
        "trend_direction": "increasing",
        "percentage_change": 300.0,
        "primary_driver": "$7.50 more for compute than in the first half of the period",
    },
}


def test_project_list_aligns_amounts_in_columns(prism, server):
    dear = PROJECT | {"name": "dear", "budget": PROJECT["budget"] | {"total_allocated": None}}
    server.on("GET /projects", [PROJECT, dear])
    head, lab, other = prism("project", "list").stdout.splitlines()
    assert head.split()[:5] == ["NAME", "BUDGET", "SPENT", "USED", "LEFT"]
    assert "$1,000.00  $310.50  ███░░░░░░░  31.1%" in lab
    assert other.index("$310.50") == lab.index("$310.50")


def test_used_share_of_a_project_is_that_of_the_present_period(prism, server):
    """Years of a daily budget were spent, and of today's 2.5 dollars a tenth."""
    now = {"total_allocated": 2.5, "current_spend": 900.0, "spent": 0.25, "left": 2.25}
    money = PROJECT["budget"] | now
    server.on("GET /projects/lab", PROJECT | {"budget": money})
    server.on("GET /projects", [PROJECT | {"budget": money}])
    assert " 10.0%" in prism("project", "list").stdout
    output = prism("project", "show", "lab").stdout
    assert " 10.0%" in output
    assert "$2.25" in output


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
        (
            "budget create grant 10 --by pi@x.edu --from 2027-01-01 --until 2027-12-31T18+02:00",
            "POST /budgets",
            {
                "name": "grant",
                "total_amount": 10.0,
                "period": "project",
                "created_by": "pi@x.edu",
                "start_date": "2027-01-01T00:00:00Z",
                "end_date": "2027-12-31T16:00:00Z",
            },
        ),
        (
            "budget create grant 10 --by pi@x.edu --until 2027-07-01 --time-zone Europe/Berlin",
            "POST /budgets",
            {
                "name": "grant",
                "total_amount": 10.0,
                "period": "project",
                "created_by": "pi@x.edu",
                "time_zone": "Europe/Berlin",
                "end_date": "2027-07-01T22:00:00Z",
            },
        ),
        (
            "budget update grant --until 2027-12-31T18:00:00Z",
            "PUT /budgets/grant",
            {"end_date": "2027-12-31T18:00:00Z"},
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
def test_options_become_fields_of_the_request(prism, server, words, line, body):
    server.on(line, {**PROJECT, **PART})
    done = prism(*words.split())
    assert done.returncode == 0, done.stderr
    request_body, kind = server.asked_for(line)[0].body, MADE.get(line, dict)
    assert msgspec.convert(request_body, kind) == msgspec.convert(body, kind), (
        "equal except for default values"
    )


@pytest.mark.parametrize(
    ("day", "at"),
    [("2027-12-31", "2027-12-31T15:00:00Z"), ("2027-12-31T00:00", "2027-12-30T15:00:00Z")],
)
def test_budget_until_a_day_ends_after_that_day_in_its_time_zone(prism, server, day, at):
    server.on("GET /budgets/grant", {**PROJECT, "time_zone": "Asia/Tokyo"})
    server.on("PUT /budgets/grant", PROJECT)
    done = prism("budget", "update", "grant", "--until", day)
    assert done.returncode == 0, done.stderr
    assert server.asked_for("PUT /budgets/grant")[0].body == {"end_date": at}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--until", "31.12.2027"], "'31.12.2027' is not a date or time"),
        (["--until", "0001-01-01T00:00+14:00"], "is not a date or time"),
        (["--from", "2027-01-01", "--time-zone", "Mars/North"], "'Mars/North' is not a time zone"),
        (["--from", "2027-01-01", "--time-zone", "../etc"], "'../etc' is not a time zone"),
    ],
)
def test_budget_create_rejects_invalid_dates_without_a_request(prism, server, words, why):
    done = prism("budget", "create", "grant", "10", "--by", "pi@x.edu", *words)
    assert (done.returncode, why in done.stderr) == (2, True)
    assert "hint:" in done.stderr
    assert not server.asked


def test_allocation_move_sends_a_reallocation(prism, server):
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
def test_update_without_options_is_a_usage_error(prism, server, noun):
    assert prism(noun, "update", "x").returncode == 2
    assert not server.asked


def test_cost_history_prints_a_bar_chart(prism, server):
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


def test_cost_history_by_user_prints_a_table(prism, server):
    group = {"percentage": 80.0, "hibernation_savings": 1.5, "instances": 3, "costs": [8.0, 2.0]}
    groups = [
        {"name": "ada@example.org", "cost": 10.0, "micros": 10_000_000, **group},
        {"name": None, "cost": 2.5, "micros": 2_500_000, **group, "percentage": 20.0},
    ]
    server.on("GET /costs/history?granularity=daily&group_by=user", HISTORY | {"groups": groups})
    head, *rows, total = prism("cost", "history", "--by", "user").stdout.splitlines()
    assert head.split("  ")[0] == "USER"
    assert [row.split() for row in rows] == [
        ["ada@example.org", "$10.00", "████████░░", "80.0%", "$1.50", "3"],
        ["(no", "user)", "$2.50", "██░░░░░░░░", "20.0%", "$1.50", "3"],
    ]
    assert total.split() == ["total", "$12.50"]
    assert prism("cost", "history", "--by", "region").returncode == 2


def test_cost_export_writes_a_file(prism, server, tmp_path):
    server.on("GET /costs/export?format=csv&project=lab", {"a": 1})
    done = prism("cost", "export", "--project", "lab", "--output", str(tmp_path / "x.csv"))
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "x.csv").read_text()) == {"a": 1}


CAP = {
    "scope": "project",
    "cap": "project 'lab'",
    "amount": 10.0,
    "spent": 1.05,
    "reserved": 8.2,
    "left": 0.75,
    "runs_out_on": "2026-01-02T03:04:00Z",
    "spent_after_end": 0.0,
}
BUDGET = {
    "total_allocated": 10.0,
    "current_spend": 1.05,
    "spent": 1.05,
    "reserved": 8.2,
    "left": 0.75,
    "runs_out_on": "2026-01-02T03:04:00Z",
    "because": "$8.00 of it are set aside for disks",
    "remaining": 8.95,
    "overrun": 0.0,
    "caps": [CAP],
    "cost_breakdown": {"compute": 1.0, "storage": 0.05, "data_transfer": None},
    "hibernation_savings": 0.0,
    "top_spending_instances": [],
    "budget_alerts": {"overspend_risk": "low"},
    "unpriced": ["odd"],
    "not_limited": ["data (volume)"],
}
FORECAST = BUDGET | {"hourly": 0.0832, "daily": 2.0, "monthly": 60.0, "runs_out": None}


def test_budget_and_forecast_print_equal_words_amounts_and_table(prism, server):
    server.on("GET /projects/lab/budget", BUDGET)
    server.on("GET /projects/lab/forecast", FORECAST)
    budget, forecast = prism("project", "budget", "lab"), prism("budget", "forecast", "lab")
    assert (budget.returncode, forecast.returncode) == (0, 0), budget.stderr + forecast.stderr
    for page in (budget.stdout, forecast.stdout):
        words = ("spent", "reserved", "left", "runs out on")
        page_lines = [line.strip() for line in page.splitlines()]
        lines = {word: line for word in words for line in page_lines if line.startswith(word)}
        assert "$1.05" in lines["spent"]
        assert "$8.20" in lines["reserved"]
        assert "$0.75" in lines["left"]
        assert "($8.00 of it are set aside for disks)" in lines["runs out on"]
    table = forecast.stdout.split("\n\n")[-1].strip()
    assert table.startswith("LIMIT")
    assert table in budget.stdout
    for page in (budget.stderr, forecast.stderr):
        assert "note: 1 workspace without a price: odd; not in these sums" in page
        assert "note: not limited: data (volume)" in page
    assert "still free" not in budget.stdout


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0.0, "$0.00"),
        (0.004, "<$0.01"),
        (0.01, "$0.01"),
        (None, None),
        (-0.004, ">-$0.01"),
        (-1234.5, "-$1,234.50"),
        (-0.0, "$0.00"),
    ],
)
def test_usd_shows_amounts_below_one_cent_as_less_than_one_cent(amount, text):
    assert usd(amount) == text


def test_cap_below_one_cent_is_shown_as_less_than_one_cent(prism, server):
    """The answer has 0.0, in cents; a cap of zero is not possible."""
    server.on(
        "GET /projects", [PROJECT | {"budget": PROJECT["budget"] | {"total_allocated": 0.0}}]
    )
    assert "<$0.01" in prism("project", "list").stdout
    caps = [
        CAP | {"amount": 0.0, "scope": "project"},
        CAP | {"amount": 0.0, "scope": "allocation"},
    ]
    server.on("GET /projects/lab/budget", BUDGET | {"total_allocated": 0.0, "caps": caps})
    *_, own, part = prism("project", "budget", "lab").stdout.splitlines()
    assert ("<$0.01" in own, "<$0.01" in part) == (True, False)


def test_cost_history_names_unpriced_workspaces(prism, server):
    server.on("GET /costs/history?granularity=daily", HISTORY | {"unpriced": ["odd"]})
    assert "note: 1 workspace without a price: odd" in prism("cost", "history").stderr


def test_budget_and_forecast_print_the_reason_against_launches(prism, server):
    no_more = "the threshold of 10 % is passed"
    why = {"no_launches": no_more, "runs_out_on": None, "because": None}
    empty = "the allocation to 'lab' from 'grant' has no money (moved away)"
    server.on("GET /projects/lab/budget", BUDGET | why)
    server.on("GET /projects/lab/forecast", FORECAST | why | {"because": empty})
    budget, forecast = prism("project", "budget", "lab"), prism("budget", "forecast", "lab")
    for page in (budget.stdout, forecast.stdout):
        [line] = [line.split() for line in page.splitlines() if line.startswith("no launches")]
        assert line == ["no", "launches", *no_more.split()]
    assert "as far as can be seen, never" in budget.stdout
    assert f"never: {empty}" in forecast.stdout


def test_audit_prints_dollars_instead_of_micro_dollars(prism, server):
    entry = {
        "id": "evt_1", "at": "2026-01-01T00:00:00Z", "actor": "ada", "event": "budget_changed",
        "subject": "grant", "data": {},
        "before": {"total": 10_000_000, "total_usd": 10.0},
        "after": {"total": 12_345_678, "total_usd": 12.345678},
    }  # fmt: skip
    server.on("GET /audit?limit=100&format=json", [entry])
    output = prism("audit").stdout
    assert "total=$10.00" in output
    assert "total=$12.345678" in output
    assert "10000000" not in output


def test_report_requests_markdown_of_the_month(prism, server):
    path = "/projects/lab/report?month=2026-01&format=markdown"
    server.on(f"GET {path}", {"a": 1})
    assert json.loads(prism("report", "lab", "--month", "2026-01").stdout) == {"a": 1}


def test_statement_requests_the_period_in_each_form_and_writes_a_file(prism, server, tmp_path):
    for option, form in ((), "markdown"), (("--csv",), "csv"), (("--html",), "html"):
        path = f"/budgets/grant/statement?period=2026-01&format={form}"
        server.on(f"GET {path}", {"form": form})
        done = prism("budget", "statement", "grant", "--period", "2026-01", *option)
        assert json.loads(done.stdout) == {"form": form}
    server.on("GET /budgets/grant/statement?format=json", {"form": "json"})
    file = tmp_path / "grant.json"
    done = prism("budget", "statement", "grant", "--json", "--output", str(file))
    assert json.loads(file.read_text()) == {"form": "json"}
    assert f"Written to {file}" in done.stderr


def test_budget_show_prints_dashes_for_unknown_amounts(prism, server):
    unknown = dict.fromkeys(("spent_amount", "spent", "left", "utilization_rate"))
    pool = {"name": "grant", "id": "b1", "total_amount": 50.0, "period": "daily", **unknown}
    pool |= {"reserved": 0.0, "spent_after_end": 0.0, "overrun": 0.0, "unpriced": ["odd"]}
    pool |= {"period_start": None, "period_end": None, "time_zone": "UTC", "alert_threshold": 0.8}
    summary = {"budget": pool, "status": "ok", "allocations": [PART | unknown], "alerts": []}
    server.on("GET /budgets/grant/summary", summary | {"top_spending_projects": []})
    done = prism("budget", "show", "grant")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line]
    assert ["spent", "-"] in lines
    assert ["left", "-"] in lines
    assert lines[-1] == ["alloc_1", "lab", "$100.00", "-", "-", "$2.00", "-"]
    assert "note: 1 workspace without a price: odd" in done.stderr


def test_budget_and_allocation_lists_print_rows_and_a_json_count(prism, server):
    pool = {"name": "grant", "period": "project", "total_amount": 10.0, **PART}
    server.on("GET /budgets", {"budgets": [pool], "count": 1})
    server.on("GET /budgets/grant/allocations", {"allocations": [PART], "count": 1})
    for words, row in (("budget list", "grant"), ("allocation list grant", "alloc_1")):
        assert f"\n{row} " in prism(*words.split()).stdout
        assert json.loads(prism(*words.split(), "--json").stdout)["count"] == 1
