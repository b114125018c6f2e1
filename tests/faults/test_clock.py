"""Costs and expiry on days of 23 and 25 hours, at leap seconds, and when a clock is set back."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from zoneinfo import ZoneInfo

import pytest

from prism.cli.checks.context import CheckContext
from prism.cli.output.time_format import to_utc as typed_moment
from prism.cli.parser import UsageError
from prism.costs.model import CostKind
from prism.kit.clock import StoppedClock
from prism.providers.aws.api import tags
from prism.providers.aws.compute import instance
from tests.money import ClockedDaemon
from tests.optional import not_none

# A zone, the local day of a change, and how many hours that day has.
CHANGES = [
    ("Europe/Berlin", (2026, 10, 25), 25),
    ("Europe/Berlin", (2026, 3, 29), 23),
    pytest.param("America/New_York", (2026, 11, 1), 25, marks=pytest.mark.slow),
    pytest.param("Australia/Lord_Howe", (2026, 4, 5), 24.5, marks=pytest.mark.slow),
]
LEAP = datetime(2026, 6, 30, 23, 59, 59, 500_000, tzinfo=UTC)


@pytest.fixture
def daemon_at(make_daemon, cloud, clock):
    """Makes a daemon whose clock is stopped at a given time."""

    def make(at, *, apart=False):
        clock.time = at
        cloud.clock = StoppedClock(at) if apart else clock  # machines may have their own clock
        cloud.busy = timedelta(0)
        return ClockedDaemon(make_daemon(local_prices="aws", terminated_retention=10**6), clock)

    return make


def midnight(zone, day):
    year, month, day_of_month = day
    return datetime(year, month, day_of_month, tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(("zone", "day", "hours"), CHANGES)
def test_pool_period_and_costs_follow_the_real_hours_of_a_clock_change(
    daemon_at, zone, day, hours
):
    begin = midnight(zone, day)
    after = (begin + timedelta(hours=30)).astimezone(ZoneInfo(zone))
    end = after.replace(hour=0, minute=0).astimezone(UTC)
    assert end - begin == timedelta(hours=hours)
    lab = daemon_at(begin - timedelta(minutes=15))
    start = f"{begin - timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
    lab.pool("grant", 90.0, "daily", time_zone=zone, start_date=start)
    lab.project("lab")
    lab.allocate("grant", "lab", 80.0)
    lab.running(project="lab", storage={"ebs_volume_size": 8}, size="L")
    rate = lab.get("instances/mine")["hourly_rate"]
    lab.live(minutes=15)
    lab.live(hours=4)  # the clock changes within these hours
    assert compute_cost(lab, begin, lab.clock.now()) == pytest.approx(rate * 4, abs=1e-4)
    lab.verb("mine", "stop")
    lab.settle(seconds=5)
    assert pool_spent(lab) == pytest.approx(rate * 4, abs=0.02), (
        "the period begins at local midnight"
    )
    lab.clock.time = end - timedelta(minutes=15)
    lab.verb("mine", "start")
    lab.settle(seconds=5)
    lab.settle(minutes=14)
    assert pool_spent(lab) == pytest.approx(rate * 4.25, abs=0.04), "the period has not ended yet"
    lab.settle(minutes=2)
    assert pool_spent(lab) == pytest.approx(rate / 60, abs=0.01)


def pool_spent(lab):
    """The amount that the daily pool shows as spent."""
    return lab.get("budgets/grant")["spent_amount"]


def compute_cost(lab, begin, end):
    """The cost of compute between two times, in dollars."""
    within = int(begin.timestamp()), int(end.timestamp())
    return lab.recount(*within, kind=CostKind.COMPUTE) / 1e6


@pytest.mark.parametrize(("zone", "day", "hours"), CHANGES[:2])
def test_ttl_of_24_hours_is_86400_seconds_when_clocks_change(daemon_at, zone, day, hours):
    lab = daemon_at(midnight(zone, day))
    lab.running(ttl_hours=24)
    lab.settle(hours=23, minutes=59)
    assert lab.state() == "running"
    lab.settle(minutes=2)
    lab.settle(seconds=5)
    assert lab.state() in {"hibernated", "stopped"}


@pytest.mark.parametrize("back", [1, pytest.param(90, marks=pytest.mark.slow)])
def test_clock_set_back_causes_no_negative_segment_and_no_unordered_event(daemon_at, back):
    """POSIX time has no leap second: the last second of the day occurs twice."""
    lab = daemon_at(LEAP, apart=True)
    lab.running()
    lab.clock.time = LEAP - timedelta(seconds=back)
    lab.verb("mine", "stop")
    lab.settle()
    lab.settle(seconds=5)
    assert lab.state() == "stopped"
    lab.verb("mine", "start")
    lab.settle(seconds=5)
    assert lab.state() == "running"
    lab.clock.advance(seconds=-back)
    lab.settle()
    lab.verb("mine", "terminate", confirm="DELETE")
    lab.settle(seconds=5)
    lab.settle(seconds=5)
    assert lab.state() == "terminated"
    for segment in lab.segments():
        assert segment.ended is None or segment.ended >= segment.began, segment
    assert lab.recount() >= 0
    facts = lab.daemon.db.events_after(0)
    assert [fact.id for fact in facts] == sorted({fact.id for fact in facts})
    lab.check_caps()


def test_lease_taken_before_the_clock_was_set_back_ends(daemon_at):
    """A stop is carried out although the times of earlier leases are in the future."""
    lab = daemon_at(LEAP, apart=True)
    lab.running(ttl_hours=1)
    lab.clock.advance(hours=-2)
    lab.verb("mine", "stop")
    lab.settle(seconds=1)
    lab.settle(seconds=1)
    assert lab.state() == "stopped"


# ---------------------------------------------------------------- a leap second from outside
# Prism's clocks never show one: POSIX time has none, and the time libraries have no second 60.
LEAP_SECOND, LEAP_DATE = "2016-12-31T23:59:60Z", "Sat, 31 Dec 2016 23:59:60 GMT"


class Answers(BaseHTTPRequestHandler):
    """A server, or a proxy before one, whose clock shows a leap second."""

    health = json.dumps({"status": "healthy", "version": "0", "uptime": "5s"}).encode()

    def do_GET(self):
        body = self.health
        self.send_response_only(200)
        self.send_header("Date", LEAP_DATE)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Log nothing."""


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_doctor_accepts_an_answer_dated_with_a_leap_second(server):
    world = CheckContext.seen({"PRISM_URL": server, "PRISM_TOKEN": "any"}).asked()
    assert world.fault is None
    assert not_none(world.status)["status"] == "healthy"
    assert world.daemon_time is None, "clocks cannot be compared with a leap second"


@pytest.mark.parametrize("when", ["2016-12-31 23:59:60", "2026-02-30 12:00:00"])
def test_ec2_instance_with_an_invalid_stop_time_is_read(when):
    description = {
        "InstanceId": "i-0123456789abcdef0",
        "State": {"Name": "stopped"},
        "InstanceType": "t3.micro",
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "LaunchTime": datetime(2016, 12, 1, tzinfo=UTC),
        "StateTransitionReason": f"User initiated ({when} GMT)",
    }
    machine = instance.read(description)
    assert (machine.state, machine.changed) == ("stopped", None)
    usual = {**description, "StateTransitionReason": "User initiated (2016-12-31 23:59:59 GMT)"}
    assert instance.read(usual).changed == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_leap_second_is_ignored_in_tags_and_refused_in_input(daemon_at):
    assert tags.moment(LEAP_SECOND) is None
    with pytest.raises(UsageError, match="23:59:60"):
        typed_moment(LEAP_SECOND, "UTC")
    lab = daemon_at(LEAP)
    lab.pool("grant", 90.0, "monthly")
    budget = {"name": "leap", "total_amount": 9.0, "period": "monthly", "created_by": "pi@x.edu"}
    answer = lab.post("budgets", **budget, start_date=LEAP_SECOND)
    assert answer.status_code == 422, answer.text
    assert "start_date" in answer.text
    assert lab.http("GET", "/api/v1/budgets/leap").status_code == 404, "the pool was created"
    lab.made("budgets", **budget, start_date="2016-12-31T23:59:59Z")
