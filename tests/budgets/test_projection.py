"""What will have been spent, and the risk that follows from it: one pace."""

from datetime import datetime, timedelta

import pytest

from tests.months import january

RATE, DISK = 83_200, 1_600_000


def money(lab):
    budget = lab.get("projects/lab/budget")
    [cap] = budget["caps"]
    return cap["projected"], budget["budget_alerts"]["overspend_risk"]


def test_projection_ends_when_a_workspace_expires(clocked_daemon):
    """For 30 days without an expiry it would be $59.90, which is 599 % of the budget."""
    clocked_daemon.project("lab", 10.0)
    clocked_daemon.running(project="lab", ttl_hours=24)
    projected, risk = money(clocked_daemon)
    assert (projected, risk) == (round((24 * RATE + january(DISK, 0, 720)) / 1e6, 2), "low")
    assert clocked_daemon.verb("mine", "extend", hours=48).status_code == 204
    projected, risk = money(clocked_daemon)
    assert (projected, risk) == (round((72 * RATE + january(DISK, 0, 720)) / 1e6, 2), "low")


def test_course_goes_on_at_the_rate_of_the_disk_after_the_workspace_expires(clocked_daemon):
    """At the rate of now, $80 would be gone before 30 days; the workspace expires after one."""
    clocked_daemon.project("lab", 40.0)
    clocked_daemon.running(project="lab", ttl_hours=24)
    forecast = clocked_daemon.get("projects/lab/forecast")
    [course], [cap] = forecast["courses"], forecast["caps"]
    assert course["id"] == cap["id"]
    ends = [datetime.fromisoformat(point["at"]) for point in course["points"]]
    now = clocked_daemon.clock.now()
    assert [end - now for end in ends] == [timedelta(hours=hours) for hours in (0, 24, 720)]
    disk = january(DISK, 0, 24)
    assert [point["unspent"] for point in course["points"]] == [
        40.0,
        round((40_000_000 - 24 * RATE - disk) / 1e6, 2),
        round(40 - cap["projected"], 2),
    ]
    assert datetime.fromisoformat(forecast["runs_out_on"]) > ends[-1]


def test_course_has_everything_asleep_after_the_run_out_date(clocked_daemon):
    clocked_daemon.project("lab", 20.0)
    clocked_daemon.running(project="lab")
    forecast = clocked_daemon.get("projects/lab/forecast")
    [course] = forecast["courses"]
    end = datetime.fromisoformat(forecast["runs_out_on"])
    begin, bend, last = course["points"]
    assert datetime.fromisoformat(bend["at"]) == end
    hours = (end - datetime.fromisoformat(begin["at"])) / timedelta(hours=1)
    assert begin["unspent"] - bend["unspent"] == pytest.approx(
        (hours * RATE + january(DISK, 0, int(hours))) / 1e6, abs=0.02
    )
    assert 0 < bend["unspent"] - last["unspent"] < 1.7, "only the disk goes on"


@pytest.mark.parametrize(("cap", "risk"), [(80.0, "low"), (65.0, "medium"), (60.0, "high")])
def test_risk_is_that_of_the_projection(clocked_daemon, cap, risk):
    """A young project, whose last 30 days say nothing."""
    clocked_daemon.project("lab", cap)
    clocked_daemon.running(project="lab")
    projected, judged = money(clocked_daemon)
    assert projected == round((720 * RATE + january(DISK, 0, 720)) / 1e6, 2) == 61.45
    assert judged == risk
    clocked_daemon.settle(hours=1)
    clocked_daemon.verb("mine", "stop")
    clocked_daemon.settle()
    projected, judged = money(clocked_daemon)
    assert (projected, judged) == (round((RATE + january(DISK, 0, 721)) / 1e6, 2), "low"), (
        "only the disk goes on"
    )


def test_export_has_savings_in_a_column_of_their_own(clocked_daemon):
    clocked_daemon.project("lab", 100.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=2)
    clocked_daemon.verb("mine", "hibernate")
    clocked_daemon.settle()
    clocked_daemon.settle(hours=10)
    lines = clocked_daemon.get("costs/export")
    assert round(sum(line["cost"] for line in lines), 2) == round(
        clocked_daemon.recount() / 1e6, 2
    )
    [slept] = [line for line in lines if line["kind"] == "asleep"]
    assert (slept["cost"], slept["micros"]) == (0.0, 0)
    assert slept["saved_micros"] == 10 * RATE
    assert [line["saved"] for line in lines if line is not slept] == [0.0] * (len(lines) - 1)
