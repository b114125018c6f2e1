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


def test_months_of_two_zones_add_up_to_all_that_was_spent(lab):
    """No pool paid in January, one of New York did in February: no hour is lost between them."""
    lab.clock.time = datetime.fromisoformat("2026-01-31T12:00:00+00:00")
    lab.project("lab")
    lab.running(project="lab", ttl_hours=30)
    lab.settle(hours=29)
    january = lab.get(f"projects/lab/report{MONTH}")
    lab.clock.advance(days=8)
    lab.pool("grant", 100.0, time_zone="America/New_York")
    lab.allocate("grant", "lab", 100.0)
    lab.running("other", project="lab", ttl_hours=3)
    lab.settle(hours=2)
    again, february = (lab.get(f"projects/lab/report?month=2026-0{it}") for it in (1, 2))
    assert (again["micros"], again["end"]) == (january["micros"], january["end"])
    assert (january["time_zone"], february["time_zone"]) == ("UTC", "America/New_York")
    assert january["micros"] + february["micros"] == lab.recount() > february["micros"]


def test_the_present_month_is_that_of_the_money(lab):
    """It is December in Auckland while it is still November in UTC."""
    lab.clock.time = datetime.fromisoformat("2026-11-30T10:30:00+00:00")
    lab.project("lab")
    lab.pool("grant", 100.0, "monthly", time_zone="Pacific/Auckland")
    lab.allocate("grant", "lab", 100.0)
    lab.running(project="lab", ttl_hours=4)
    lab.settle(hours=2)
    report = lab.get("projects/lab/report")
    assert report["month"] == "2026-12"
    assert report["total"] == lab.get("budgets/grant")["spent"] > 0
