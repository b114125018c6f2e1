"""What EC2 charges for, in the ledger: a whole daemon over the double of AWS."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest

from aws_double.rulebook import build as ruled
from prism.costs.model import CostKind
from prism.costs.plan import unix_time
from prism.daemon.app import build
from prism.kit.tables import metadata
from prism.providers.aws.compute.instance import WRITTEN_AT
from prism.settings import Settings
from tests.money import ClockedDaemon
from tests.optional import not_none
from tests.providers.aws.place import ImmediateExecutor
from tests.waiting import eventually

RATE = 83_200  # t3.large
BOOT, PENDING, HIBERNATING = 400, 10, 90
SLACK = 5  # seconds between two looks


class Time:
    """The double's clock, moved as a lab moves it."""

    def __init__(self, clock):
        self._clock, self.now = clock, clock.now

    def advance(self, **delta):
        self._clock.advance(timedelta(**delta).total_seconds())


@pytest.fixture
def aws(aws_with_short_dial):
    return aws_with_short_dial


@pytest.fixture
def immediate_reports(aws, monkeypatch):
    """What machines say is heard in the double's time, which moves faster than threads do."""
    for name, stand_in in (
        ("compute.readiness.ThreadPoolExecutor", lambda *_: ImmediateExecutor()),
        ("compute.console.time", SimpleNamespace(monotonic=lambda: aws.clock.now().timestamp())),
    ):
        monkeypatch.setattr(f"prism.providers.aws.{name}", stand_in)


@pytest.fixture
def start_daemon(aws, immediate_reports, tmp_path):
    """A daemon on the one database; who comes second finds what the first has left."""
    daemons = []

    def make():
        database = f"sqlite:///{tmp_path}/state.db"
        settings = Settings(home=str(tmp_path), user="ada", database_url=database)
        daemon = build(settings, clock=aws.clock)
        daemons.append(daemon)
        metadata.create_all(daemon.db.writer)
        daemon.profiles.first_start({})
        return ClockedDaemon(daemon, Time(aws.clock))

    yield make
    for daemon in daemons:
        daemon.close()


@pytest.fixture
def clocked_daemon(start_daemon, aws):
    daemon = start_daemon()
    order(aws)
    daemon.made("profiles", name="lab", provider="aws", region="us-east-1")
    daemon.post("profiles/switch", profile_name="lab")
    daemon.project(cap=10.0)
    return daemon


def order(aws, times=None, **rules):
    usual = {"boot": BOOT, "pending": PENDING, "hibernating": HIBERNATING, "stopping": 30}
    aws.rules = ruled({"times": usual | (times or {})} | rules)


def by_ec2(clocked_daemon):
    """For how long it ran the last time, by what EC2 says of it."""
    [instance] = boto3.client("ec2").describe_instances(
        InstanceIds=[clocked_daemon.workspace().machine_id]
    )["Reservations"][0]["Instances"]
    down = not_none(WRITTEN_AT.search(instance["StateTransitionReason"]))[1]
    return unix_time(datetime.fromisoformat(f"{down}+00:00")) - unix_time(instance["LaunchTime"])


def by_hand(clocked_daemon, action, **more):
    """Somebody does it at AWS's own console, or the machine itself does."""
    getattr(boto3.client("ec2"), action)(
        InstanceIds=[clocked_daemon.workspace().machine_id], **more
    )


def becomes(clocked_daemon, state, seconds=SLACK):
    """Time passes, and the daemon looks, until it is that."""

    def so():
        clocked_daemon.settle(seconds=seconds)
        clocked_daemon.keeps_every_cap()
        return clocked_daemon.state() == state

    eventually(so, 120)


def passes(clocked_daemon, seconds):
    """Time passes, and the daemon looks every few seconds."""
    for _ in range(0, seconds, SLACK):
        clocked_daemon.settle(seconds=SLACK)
        clocked_daemon.keeps_every_cap()


def taken(clocked_daemon):
    """What is settled and set aside together."""
    [(_, settled, reserved)] = clocked_daemon.standings("lab")
    return settled + reserved


def ran(clocked_daemon, kind=CostKind.COMPUTE):
    return sum(
        (segment.ended or clocked_daemon.now) - segment.began
        for segment in clocked_daemon.segments()
        if segment.kind is kind
    )


def launched(clocked_daemon, project="lab", **more):
    answer = clocked_daemon.launch(project=project, **more)
    assert answer.status_code == 201, answer.text
    for _ in range(20):  # EC2 shows late what was made for it
        clocked_daemon.settle(seconds=1)
        if clocked_daemon.workspace().machine_id is not None:
            break


def running(clocked_daemon, **more):
    launched(clocked_daemon, **more)
    becomes(clocked_daemon, "running", seconds=30)


def test_what_is_pending_costs_nothing_and_what_boots_costs_all(clocked_daemon):
    launched(clocked_daemon)
    assert (clocked_daemon.state(), clocked_daemon.segments()) == ("launching", [])
    passes(clocked_daemon, 60)
    assert clocked_daemon.state() == "launching"
    assert {segment.kind for segment in clocked_daemon.segments()} == {
        CostKind.ROOT,
        CostKind.COMPUTE,
        CostKind.ADDRESS,
    }
    assert 50 <= ran(clocked_daemon) <= 60
    becomes(clocked_daemon, "running", seconds=30)
    assert len(clocked_daemon.segments()) == 3, "nothing changes in what it costs"


def test_a_launch_that_is_given_up_while_it_boots_is_paid(clocked_daemon):
    launched(clocked_daemon)
    passes(clocked_daemon, 60)
    clocked_daemon.verb("mine", "terminate", confirm="DELETE")
    becomes(clocked_daemon, "terminated")
    assert ran(clocked_daemon, CostKind.ADDRESS) == ran(clocked_daemon)
    assert ran(clocked_daemon) == by_ec2(clocked_daemon) >= 50
    assert clocked_daemon.reservations() == []


def test_each_failed_boot_is_paid_until_it_stops(clocked_daemon, aws):
    """Stopping costs nothing, and the money for the rest is free again."""
    order(aws, boot={"fails": "failed"})
    launched(clocked_daemon)
    becomes(clocked_daemon, "failed", seconds=60)
    once = by_ec2(clocked_daemon)
    assert ran(clocked_daemon) == once >= BOOT
    [reservation] = clocked_daemon.reservations()
    assert reservation.until == reservation.since
    assert clocked_daemon.verb("mine", "start").status_code == 200
    becomes(clocked_daemon, "failed", seconds=60)
    assert ran(clocked_daemon) == once + by_ec2(clocked_daemon) >= 2 * BOOT


@pytest.mark.slow
def test_a_failed_boot_uses_up_its_reservation_and_the_next_must_fit(clocked_daemon, aws):
    """So tries that fail, one after the other, end at the cap."""
    clocked_daemon.project(
        "poor", cap=1.71
    )  # a disk for a month and 70 minutes, and 5 minutes to spare
    order(aws, boot={"fails": "failed"})
    launched(clocked_daemon, project="poor")
    becomes(clocked_daemon, "failed", seconds=60)
    again = clocked_daemon.verb("mine", "start")
    assert (again.status_code, again.json()["error"]["code"]) == (403, "BUDGET_EXCEEDED")


@pytest.mark.slow
def test_the_cost_of_a_failed_start_is_not_reserved_a_second_time(clocked_daemon, aws):
    """While it is stopped it counts as starting: the rest is held on, but not what it ran."""
    running(clocked_daemon)
    assert clocked_daemon.verb("mine", "stop").status_code == 200
    becomes(clocked_daemon, "stopped")
    order(aws, boot={"fails": "failed"}, times={"stopping": 300})
    assert clocked_daemon.verb("mine", "start").status_code == 200
    most = taken(clocked_daemon)

    def failed():
        clocked_daemon.settle(seconds=20)
        assert taken(clocked_daemon) <= most, clocked_daemon.workspace().seen
        return clocked_daemon.state() == "failed"

    eventually(failed, 120)
    [reservation] = clocked_daemon.reservations()
    assert reservation.until == reservation.since


def test_hibernating_is_paid_until_it_sleeps_and_stopping_is_not(clocked_daemon):
    running(clocked_daemon)
    asked_at = clocked_daemon.now
    assert clocked_daemon.verb("mine", "hibernate").status_code == 200
    clocked_daemon.settle()
    becomes(clocked_daemon, "hibernated")
    [compute] = [
        segment for segment in clocked_daemon.segments() if segment.kind is CostKind.COMPUTE
    ]
    [asleep] = [
        segment for segment in clocked_daemon.segments() if segment.kind is CostKind.ASLEEP
    ]
    assert HIBERNATING <= compute.ended - asked_at <= HIBERNATING + 2 * SLACK
    assert asleep.began == compute.ended
    assert not compute.reconstructed

    assert clocked_daemon.verb("mine", "start").status_code == 200
    becomes(clocked_daemon, "running", seconds=30)
    before = sum(
        segment.ended - segment.began
        for segment in clocked_daemon.segments()
        if segment.kind is CostKind.COMPUTE and segment.ended
    )
    clocked_daemon.settle(seconds=90)
    assert clocked_daemon.verb("mine", "stop").status_code == 200
    becomes(clocked_daemon, "stopped")
    assert ran(clocked_daemon) - before == by_ec2(clocked_daemon), "no second of stopping"


@pytest.mark.parametrize("starts", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_start_is_charged_for_a_minute_at_least(clocked_daemon, starts):
    """EC2 API Reference, StartInstances: "a one-minute minimum ... every time you start"."""
    running(clocked_daemon)
    clocked_daemon.settle(seconds=90)
    for _ in range(starts):
        assert clocked_daemon.verb("mine", "hibernate").status_code == 200
        becomes(clocked_daemon, "hibernated", seconds=30)
        before = ran(clocked_daemon)
        assert clocked_daemon.verb("mine", "start").status_code == 200
        becomes(clocked_daemon, "running")
        assert clocked_daemon.verb("mine", "stop").status_code == 200
        becomes(clocked_daemon, "stopped")
        assert by_ec2(clocked_daemon) < 60
        assert ran(clocked_daemon) - before == 60
        assert clocked_daemon.verb("mine", "start").status_code == 200
        becomes(clocked_daemon, "running", seconds=30)
        clocked_daemon.settle(seconds=90)
    assert clocked_daemon.recount(kind="compute") == clocked_daemon.recount(
        kind="compute", start=0
    )
    filled = [
        segment for segment in clocked_daemon.segments() if "to 60 s for a start" in segment.detail
    ]
    assert len(filled) == starts
    runs = {
        segment.ended
        for segment in clocked_daemon.segments()
        if segment.kind is CostKind.COMPUTE and segment not in filled
    }
    assert all(segment.began in runs for segment in filled), (
        "it is charged after the run, not before it"
    )
    clocked_daemon.standings()


def test_the_minute_of_a_start_is_charged_after_it_never_before(clocked_daemon, aws):
    """A run of seconds begins and ends at midnight: nothing of it is in the month before."""
    clocked_daemon.pool("grant", 50.0, "daily")
    clocked_daemon.project("p")
    clocked_daemon.allocate("grant", "p", 50.0)
    month = (clocked_daemon.clock.now().replace(day=1) + timedelta(days=32)).replace(day=1)
    midnight = int(month.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    clocked_daemon.clock.advance(seconds=midnight - clocked_daemon.now - PENDING - 2)
    launched(clocked_daemon, project="p")
    while not ran(clocked_daemon):
        clocked_daemon.settle(seconds=1)
    assert clocked_daemon.now - midnight < 10
    by_hand(clocked_daemon, "terminate_instances")

    def over():
        clocked_daemon.settle(seconds=2)
        return [
            segment
            for segment in clocked_daemon.segments()
            if segment.kind is CostKind.COMPUTE and segment.ended
        ][1:]

    [rest] = eventually(over, 120)
    [run] = [
        segment
        for segment in clocked_daemon.segments()
        if segment.kind is CostKind.COMPUTE and segment != rest
    ]
    assert rest.began == run.ended
    assert rest.ended == run.began + 60
    last_month = f"projects/p/report?month={month - timedelta(days=1):%Y-%m}"
    assert clocked_daemon.get(last_month)["micros"] == clocked_daemon.recount(
        0, midnight, project=run.project
    )
    assert clocked_daemon.recount(run.began - 3600, run.began, kind=CostKind.COMPUTE) == 0
    clocked_daemon.standings()
    clocked_daemon.settle(seconds=90)
    clocked_daemon.standings()
    assert clocked_daemon.get("budgets/grant")["spent"] == round(
        clocked_daemon.recount(midnight) / 1e6, 2
    )


@pytest.mark.slow
def test_one_that_sends_itself_to_sleep_is_paid_until_it_sleeps(clocked_daemon):
    """Nobody here asked for it: EC2's reason says what kind of stop it is."""
    running(clocked_daemon)
    asked_at = clocked_daemon.now
    by_hand(clocked_daemon, "stop_instances", Hibernate=True)
    clocked_daemon.settle(seconds=SLACK)
    assert (clocked_daemon.state(), clocked_daemon.workspace().verb) == ("stopping", "launch")
    becomes(clocked_daemon, "hibernated")
    [compute] = [
        segment for segment in clocked_daemon.segments() if segment.kind is CostKind.COMPUTE
    ]
    assert HIBERNATING <= compute.ended - asked_at <= HIBERNATING + 2 * SLACK


def test_unobserved_time_costs_no_more_than_was_reserved(clocked_daemon):
    running(clocked_daemon)
    passes(clocked_daemon, 40)
    asked_at = clocked_daemon.now
    by_hand(clocked_daemon, "stop_instances", Hibernate=True)
    clocked_daemon.settle(hours=20)
    assert clocked_daemon.state() == "hibernated"
    [compute] = [
        segment for segment in clocked_daemon.segments() if segment.kind is CostKind.COMPUTE
    ]
    assert compute.ended - asked_at == 600
    assert compute.reconstructed
    clocked_daemon.keeps_every_cap()


def test_a_run_that_nobody_saw_is_paid(clocked_daemon, start_daemon):
    """The daemon is gone a second after a launch; the machine goes down when it was told to."""
    launched(clocked_daemon, ttl_hours=2)
    assert clocked_daemon.workspace().seen == "starting"
    clocked_daemon.daemon.close()
    clocked_daemon.clock.advance(hours=8)
    after = start_daemon()
    after.settle(seconds=SLACK)
    assert after.state() in {"stopped", "hibernated"}
    assert abs(ran(after) - 2 * 3600) <= 700
    [segment] = [segment for segment in after.segments() if segment.kind is CostKind.COMPUTE]
    assert segment.reconstructed
    after.keeps_every_cap()


def test_one_that_never_got_a_machine_ran_for_nothing(clocked_daemon, start_daemon):
    launched(clocked_daemon)
    clocked_daemon.daemon.close()
    clocked_daemon.clock.advance(seconds=30)  # EC2 shows it to everybody by now
    by_hand(clocked_daemon, "terminate_instances")
    after = start_daemon()
    after.settle(seconds=20)
    assert ran(after) == 0


def test_a_plan_says_a_month_of_all_that_the_forecast_counts_then(clocked_daemon):
    """Its machine, its disk and its public address."""
    plan = clocked_daemon.launch(project="lab", dry_run=True).json()
    running(clocked_daemon)
    parts = plan["monthly"] + plan["disk_monthly"] + plan["address_monthly"]
    assert clocked_daemon.get("projects/lab/forecast")["monthly"] == pytest.approx(parts, abs=0.02)
    assert plan["address_monthly"] == 3.6
