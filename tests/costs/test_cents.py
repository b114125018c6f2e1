"""Shown cents add up, and unknown costs are null."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prism.kit.money import amount, apportioned

API = "/api/v1"


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 10**12), max_size=40))
def test_apportioned_cents_add_up_and_differ_by_less_than_a_cent(parts):
    amounts = apportioned(parts)
    cents = {name: round(part * 100) for name, part in amounts.items()}
    assert sum(cents.values()) == round(amount(sum(parts.values())) * 100)
    assert all(abs(cents[name] - part / 10_000) < 1 for name, part in parts.items())


def cents(values):
    return sum(round(100 * value) for value in values)


@pytest.fixture
def busy_project(clocked_daemon):
    """Seven workspaces with various prices and disks, and two volumes, over some days."""
    clocked_daemon.project("lab", 500.0)
    sizes = ("XS", "S", "M", "L", "XS", "S", "M")
    for at, size in enumerate(sizes):
        clocked_daemon.running(
            f"w{at}", size=size, project="lab", storage={"ebs_volume_size": 11 + 7 * at}
        )
        clocked_daemon.settle(minutes=17 * at + 3)
    for name in ("w1", "data"):
        body = {"type": "ebs", "name": name, "size_gb": 13, "project": "lab"}
        assert clocked_daemon.post("storage/volumes/create", **body).status_code == 201
    for at in (1, 3):
        clocked_daemon.verb(f"w{at}", "hibernate")
    clocked_daemon.settle()
    clocked_daemon.live(hours=27, minutes=11)
    clocked_daemon.live(hours=27, minutes=11)
    return clocked_daemon


def test_shown_cents_add_up_in_every_answer(busy_project):
    budget = busy_project.get("projects/lab/budget")
    parts = budget["cost_breakdown"]
    assert cents([parts["compute"], parts["storage"]]) == cents([budget["current_spend"]])
    assert cents(instance["cost"] for instance in budget["top_spending_instances"]) == cents(
        [budget["spent"]]
    )
    report = busy_project.get("projects/lab/report?month=2026-01")
    for section in ("by_kind", "by_workspace", "by_user", "by_budget"):
        assert cents(group["cost"] for group in report[section]) == cents([report["total"]]), (
            section
        )
        assert (
            sum(segment["micros"] for segment in report[section])
            == report["micros"]
            == busy_project.recount()
        )
    history = busy_project.get("costs/history?granularity=daily")
    assert cents(bar["cost"] for bar in history["daily_costs"]) == cents([history["total_cost"]])
    assert sum(bar["micros"] for bar in history["daily_costs"]) == history["micros"]
    lines = [cost for cost in busy_project.get("costs/export") if cost["kind"] != "asleep"]
    assert cents(line["cost"] for line in lines) == cents([report["total"]])
    assert sum(line["micros"] for line in lines) == busy_project.recount()


def test_csv_report_contains_exact_micro_dollars(busy_project):
    text = busy_project.http("GET", f"{API}/projects/lab/report?month=2026-01&format=csv").text
    rows = list(csv.DictReader(StringIO(text)))
    total = int(rows[-1]["micros"])
    assert total == busy_project.recount()
    for section in ("kind", "workspace", "user", "budget"):
        mine = [row for row in rows if row["section"] == section]
        assert sum(int(row["micros"]) for row in mine) == total
        assert cents(float(row["cost"]) for row in mine) == cents([float(rows[-1]["cost"])])


def test_volume_and_workspace_of_one_name_are_separate(busy_project):
    report = busy_project.get("projects/lab/report?month=2026-01")
    names = [group["name"] for group in report["by_workspace"]]
    assert {"w1", "w1 (volume)", "data (volume)"} <= set(names)
    drivers = {
        driver["resource"] for driver in busy_project.get("costs/current")["top_cost_drivers"]
    }
    assert drivers <= set(names)
    spenders = {
        instance["name"]
        for instance in busy_project.get("projects/lab/budget")["top_spending_instances"]
    }
    assert spenders == set(names), "every answer uses the same name"


def test_unpriced_compute_is_null_and_the_disk_is_counted(clocked_daemon, monkeypatch):
    monkeypatch.setattr("prism.providers.local.offer.price", lambda kind, region: None)
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab", storage={"ebs_volume_size": 20})
    clocked_daemon.live(hours=24)
    budget, forecast = (
        clocked_daemon.get("projects/lab/budget"),
        clocked_daemon.get("projects/lab/forecast"),
    )
    assert budget["cost_breakdown"]["compute"] is None
    assert budget["unpriced"] == forecast["unpriced"] == ["mine"]
    summary = clocked_daemon.get("projects/lab")["budget"]
    known = clocked_daemon.recount()
    assert known == 1_600_000 // 31, "the cost of the disk"
    assert budget["current_spend"] == summary["current_spend"] == round(known / 1e6, 2)
    assert budget["cost_breakdown"]["storage"] == budget["spent"] == forecast["spent"]


def test_spending_is_null_if_only_an_unpriced_volume_exists(clocked_daemon):
    """The only resource is a volume without a known price."""
    clocked_daemon.project("lab")
    body = {"type": "ebs", "name": "fast", "size_gb": 20, "volume_type": "gp2"}
    assert clocked_daemon.post("storage/volumes/create", **body, project="lab").status_code == 201
    clocked_daemon.settle()
    clocked_daemon.settle(hours=24)
    budget, forecast = (
        clocked_daemon.get("projects/lab/budget"),
        clocked_daemon.get("projects/lab/forecast"),
    )
    assert budget["unpriced"] == ["fast (volume)"]
    assert budget["current_spend"] is budget["spent"] is forecast["spent"] is None
    assert budget["cost_breakdown"]["storage"] is forecast["hourly"] is None
    summary = clocked_daemon.get("projects/lab")["budget"]
    assert summary["current_spend"] is summary["spent"] is None
    assert clocked_daemon.http("DELETE", "/api/v1/storage/volumes/fast").status_code < 300
    clocked_daemon.settle()
    clocked_daemon.settle(hours=1)
    for page in ("budget", "forecast"):
        answer = clocked_daemon.get(f"projects/lab/{page}")
        assert answer["spent"] is None
        assert answer["unpriced"] == ["fast (volume)"], (
            "the cost of a deleted volume is still unknown"
        )
