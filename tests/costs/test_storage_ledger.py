"""Volumes in the ledger."""

from datetime import date

from prism.costs.model import CostKind
from tests.months import january


def test_volume_is_charged_from_creation_until_deletion(clocked_daemon):
    project = clocked_daemon.project("lab")
    body = {"type": "ebs", "name": "data", "size_gb": 100, "project": "lab"}
    assert clocked_daemon.post("storage/volumes/create", **body).status_code == 201
    assert clocked_daemon.segments() == []
    clocked_daemon.settle()
    [segment] = clocked_daemon.segments()
    assert (segment.kind, segment.amount, segment.hours, segment.detail) == (
        CostKind.VOLUME,
        8_000_000,
        720,
        "100 GB gp3",
    )
    assert (segment.project, segment.name) == (project["id"], "data")
    assert segment.source == "simulated: the price list, as it was when it was made"
    assert segment.as_of == date(2026, 1, 1)
    clocked_daemon.settle(hours=72)
    assert clocked_daemon.get("projects/lab")["budget"]["current_spend"] == 0.77
    now = clocked_daemon.get("costs/current")
    assert now["cost_breakdown"]["ebs_storage"] == 0.0111
    assert now["total_monthly_projection"] == 8.0
    assert clocked_daemon.http("DELETE", "/api/v1/storage/volumes/data").status_code == 200
    clocked_daemon.settle()
    clocked_daemon.settle(hours=72)
    assert clocked_daemon.recount() == january(8_000_000, 0, 72)
    assert clocked_daemon.get("costs/current")["total_current_hourly"] == 0.0


def test_volume_counts_against_the_project_cap_but_not_as_an_instance(clocked_daemon):
    clocked_daemon.project("lab", 9.0)
    body = {"type": "ebs", "name": "data", "size_gb": 100, "project": "lab"}
    assert clocked_daemon.post("storage/volumes/create", **body).status_code == 201
    clocked_daemon.settle()
    clocked_daemon.settle(hours=48)
    assert clocked_daemon.launch(project="lab").status_code == 403
    assert clocked_daemon.get("costs/history")["daily_costs"][-2]["instances"] == 0
