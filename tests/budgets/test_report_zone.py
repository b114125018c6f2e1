"""A report has the days of the time zone of the pools that paid, and names it."""

from datetime import datetime

from prism.costs.plan import unix_time

MONTH = "?month=2026-01"


def test_report_uses_the_time_zone_of_its_pool(clocked_daemon):
    """January begins and ends an hour earlier in Berlin than in UTC."""
    clocked_daemon.clock.time = datetime.fromisoformat("2025-12-31T22:30:00+00:00")
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 500.0, "monthly", time_zone="Europe/Berlin")
    clocked_daemon.allocate("grant", "lab", 100.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=30)
    report = clocked_daemon.get(f"projects/lab/report{MONTH}")
    begin = unix_time(datetime.fromisoformat("2026-01-01T00:00:00+01:00"))
    assert report["time_zone"] == "Europe/Berlin"
    assert report["micros"] == clocked_daemon.recount(begin) < clocked_daemon.recount()
    assert report["total"] == clocked_daemon.get("budgets/grant")["spent"]
    page = clocked_daemon.http("GET", f"/api/v1/projects/lab/report{MONTH}&format=markdown").text
    assert "2026-01-01 to 2026-01-31, time zone Europe/Berlin. Spent: " in page


def test_report_of_pools_in_two_time_zones_is_in_utc(clocked_daemon):
    clocked_daemon.project("lab")
    for name, zone in (("here", "Europe/Berlin"), ("there", "Asia/Tokyo")):
        clocked_daemon.pool(name, 500.0, "monthly", time_zone=zone)
        clocked_daemon.allocate(name, "lab", 100.0)
        clocked_daemon.running(f"in-{name}", project="lab", budget=name)
    clocked_daemon.live(hours=2)
    assert clocked_daemon.get(f"projects/lab/report{MONTH}")["time_zone"] == "UTC"


def test_monthly_reports_in_two_time_zones_add_up_to_the_total(clocked_daemon):
    """No pool pays in January, a pool in New York in February: no hour is lost in between."""
    clocked_daemon.clock.time = datetime.fromisoformat("2026-01-31T12:00:00+00:00")
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab", ttl_hours=30)
    clocked_daemon.settle(hours=29)
    january = clocked_daemon.get(f"projects/lab/report{MONTH}")
    clocked_daemon.clock.advance(days=8)
    clocked_daemon.pool("grant", 100.0, time_zone="America/New_York")
    clocked_daemon.allocate("grant", "lab", 100.0)
    clocked_daemon.running("other", project="lab", ttl_hours=3)
    clocked_daemon.settle(hours=2)
    again, february = (
        clocked_daemon.get(f"projects/lab/report?month=2026-0{number}") for number in (1, 2)
    )
    assert (again["micros"], again["end"]) == (january["micros"], january["end"])
    assert (january["time_zone"], february["time_zone"]) == ("UTC", "America/New_York")
    assert january["micros"] + february["micros"] == clocked_daemon.recount() > february["micros"]


def test_report_defaults_to_the_present_month_in_the_pool_time_zone(clocked_daemon):
    """It is December in Auckland while it is still November in UTC."""
    clocked_daemon.clock.time = datetime.fromisoformat("2026-11-30T10:30:00+00:00")
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 100.0, "monthly", time_zone="Pacific/Auckland")
    clocked_daemon.allocate("grant", "lab", 100.0)
    clocked_daemon.running(project="lab", ttl_hours=4)
    clocked_daemon.settle(hours=2)
    report = clocked_daemon.get("projects/lab/report")
    assert report["month"] == "2026-12"
    assert report["total"] == clocked_daemon.get("budgets/grant")["spent"] > 0
