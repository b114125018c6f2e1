"""A report has the days of the pools that paid, and says so."""

from datetime import datetime

from prism.costs.plan import second

MONTH = "?month=2026-01"


def test_a_report_says_what_its_pool_says(lab):
    """January begins an hour earlier in Berlin than in UTC, and ends so."""
    lab.clock.time = datetime.fromisoformat("2025-12-31T22:30:00+00:00")
    lab.project("lab")
    lab.pool("grant", 500.0, "monthly", time_zone="Europe/Berlin")
    lab.allocate("grant", "lab", 100.0)
    lab.running(project="lab")
    lab.live(hours=30)
    report = lab.get(f"projects/lab/report{MONTH}")
    begin = second(datetime.fromisoformat("2026-01-01T00:00:00+01:00"))
    assert report["time_zone"] == "Europe/Berlin"
    assert report["micros"] == lab.recount(begin) < lab.recount()
    assert report["total"] == lab.get("budgets/grant")["spent"]
    page = lab.http("GET", f"/api/v1/projects/lab/report{MONTH}&format=markdown").text
    assert "2026-01-01 to 2026-01-31, time zone Europe/Berlin. Spent: " in page


def test_pools_of_two_zones_are_told_in_utc(lab):
    lab.project("lab")
    for name, zone in (("here", "Europe/Berlin"), ("there", "Asia/Tokyo")):
        lab.pool(name, 500.0, "monthly", time_zone=zone)
        lab.allocate(name, "lab", 100.0)
        lab.running(f"in-{name}", project="lab", budget=name)
    lab.live(hours=2)
    assert lab.get(f"projects/lab/report{MONTH}")["time_zone"] == "UTC"
