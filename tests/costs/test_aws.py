"""What EC2 charges for, in the ledger of a daemon on the AWS double."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest

from aws_double.rulebook import build as ruled
from prism.costs.ledger import TAKEN_BACK
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
SLACK = 5  # seconds between two settlements


class DoubleClock:
    """The clock of the double, with the interface of a stopped clock."""

    def __init__(self, clock):
        self._clock, self.now = clock, clock.now

    def advance(self, **delta):
        self._clock.advance(timedelta(**delta).total_seconds())


@pytest.fixture
def aws(aws_with_short_dial):
    return aws_with_short_dial


@pytest.fixture
def immediate_reports(aws, monkeypatch):
    """Reports of machines are read in the time of the double and without threads."""
    for name, stand_in in (
        ("compute.readiness.ThreadPoolExecutor", lambda *_: ImmediateExecutor()),
        ("compute.console.time", SimpleNamespace(monotonic=lambda: aws.clock.now().timestamp())),
    ):
        monkeypatch.setattr(f"prism.providers.aws.{name}", stand_in)


@pytest.fixture
def start_daemon(aws, immediate_reports, tmp_path):
    """A function that starts a daemon; all of them use the same database."""
    daemons = []

    def make():
        database = f"sqlite:///{tmp_path}/state.db"
        settings = Settings(home=str(tmp_path), user="ada", database_url=database)
        daemon = build(settings, clock=aws.clock)
        daemons.append(daemon)
        metadata.create_all(daemon.db.writer)
        daemon.profiles.first_start({})
        return ClockedDaemon(daemon, DoubleClock(aws.clock))

    yield make
    for daemon in daemons:
        daemon.close()


@pytest.fixture
def clocked_daemon(start_daemon, aws):
    daemon = start_daemon()
    set_rules(aws)
    daemon.made("profiles", name="lab", provider="aws", region="us-east-1")
    daemon.post("profiles/switch", profile_name="lab")
    daemon.project(cap=10.0)
    return daemon


def set_rules(aws, times=None, **rules):
    usual = {"boot": BOOT, "pending": PENDING, "hibernating": HIBERNATING, "stopping": 30}
    aws.rules = ruled({"times": usual | (times or {})} | rules)


def seconds_according_to_ec2(clocked_daemon):
    """The seconds of the last run according to EC2."""
    [instance] = boto3.client("ec2").describe_instances(
        InstanceIds=[clocked_daemon.workspace().machine_id]
    )["Reservations"][0]["Instances"]
    down = not_none(WRITTEN_AT.search(instance["StateTransitionReason"]))[1]
    return unix_time(datetime.fromisoformat(f"{down}+00:00")) - unix_time(instance["LaunchTime"])


def call_ec2(clocked_daemon, action, **more):
    """Call EC2 directly, as a user of the AWS console or the machine itself does."""
    getattr(boto3.client("ec2"), action)(
        InstanceIds=[clocked_daemon.workspace().machine_id], **more
    )


def settle_until_state(clocked_daemon, state, seconds=SLACK):
    """Let time pass and the daemon settle until the workspace has that state."""

    def has_state():
        clocked_daemon.settle(seconds=seconds)
        clocked_daemon.check_caps()
        return clocked_daemon.state() == state

    eventually(has_state, 120)


def settle_for(clocked_daemon, seconds):
    """Let time pass while the daemon settles every few seconds."""
    for _ in range(0, seconds, SLACK):
        clocked_daemon.settle(seconds=SLACK)
        clocked_daemon.check_caps()


def settled_plus_reserved(clocked_daemon):
    """The sum of settled and reserved money."""
    [(_, settled, reserved)] = clocked_daemon.balances("lab")
    return settled + reserved


def counted_seconds(clocked_daemon, kind=CostKind.COMPUTE):
    return sum(
        (segment.ended or clocked_daemon.now) - segment.began
        for segment in clocked_daemon.segments()
        if segment.kind is kind
    )


def launch_until_machine(clocked_daemon, project="lab", **more):
    answer = clocked_daemon.launch(project=project, **more)
    assert answer.status_code == 201, answer.text
    for _ in range(20):  # EC2 shows a new instance after some seconds
        clocked_daemon.settle(seconds=1)
        if clocked_daemon.workspace().machine_id is not None:
            break


def launch_until_running(clocked_daemon, **more):
    launch_until_machine(clocked_daemon, **more)
    settle_until_state(clocked_daemon, "running", seconds=30)


def test_pending_instance_is_free_and_booting_instance_is_charged(clocked_daemon):
    launch_until_machine(clocked_daemon)
    assert (clocked_daemon.state(), clocked_daemon.segments()) == ("launching", [])
    settle_for(clocked_daemon, 60)
    assert clocked_daemon.state() == "launching"
    assert {segment.kind for segment in clocked_daemon.segments()} == {
        CostKind.ROOT,
        CostKind.COMPUTE,
        CostKind.ADDRESS,
    }
    assert 50 <= counted_seconds(clocked_daemon) <= 60
    settle_until_state(clocked_daemon, "running", seconds=30)
    assert len(clocked_daemon.segments()) == 3, "the charges do not change"


def test_launch_terminated_during_boot_is_charged(clocked_daemon):
    launch_until_machine(clocked_daemon)
    settle_for(clocked_daemon, 60)
    clocked_daemon.verb("mine", "terminate", confirm="DELETE")
    settle_until_state(clocked_daemon, "terminated")
    assert counted_seconds(clocked_daemon, CostKind.ADDRESS) == counted_seconds(clocked_daemon)
    assert counted_seconds(clocked_daemon) == seconds_according_to_ec2(clocked_daemon) >= 50
    assert clocked_daemon.reservations() == []


def test_each_failed_boot_is_charged_until_the_instance_stops(clocked_daemon, aws):
    """Stopping costs nothing, and the rest of the reservation is released."""
    set_rules(aws, boot={"fails": "failed"})
    launch_until_machine(clocked_daemon)
    settle_until_state(clocked_daemon, "failed", seconds=60)
    once = seconds_according_to_ec2(clocked_daemon)
    assert counted_seconds(clocked_daemon) == once >= BOOT
    [reservation] = clocked_daemon.reservations()
    assert reservation.until == reservation.since
    assert clocked_daemon.verb("mine", "start").status_code == 200
    settle_until_state(clocked_daemon, "failed", seconds=60)
    assert (
        counted_seconds(clocked_daemon)
        == once + seconds_according_to_ec2(clocked_daemon)
        >= 2 * BOOT
    )


@pytest.mark.slow
def test_start_after_a_failed_boot_must_fit_the_cap_again(clocked_daemon, aws):
    """So repeated failed starts end at the cap."""
    clocked_daemon.project(
        "poor", cap=1.71
    )  # a disk for a month, 70 minutes of compute, and 5 minutes more
    set_rules(aws, boot={"fails": "failed"})
    launch_until_machine(clocked_daemon, project="poor")
    settle_until_state(clocked_daemon, "failed", seconds=60)
    again = clocked_daemon.verb("mine", "start")
    assert (again.status_code, again.json()["error"]["code"]) == (403, "BUDGET_EXCEEDED")


@pytest.mark.slow
def test_cost_of_a_failed_start_is_not_reserved_again(clocked_daemon, aws):
    """While it stops, the rest of the reservation is held, but not the time that it ran."""
    launch_until_running(clocked_daemon)
    assert clocked_daemon.verb("mine", "stop").status_code == 200
    settle_until_state(clocked_daemon, "stopped")
    set_rules(aws, boot={"fails": "failed"}, times={"stopping": 300})
    assert clocked_daemon.verb("mine", "start").status_code == 200
    most = settled_plus_reserved(clocked_daemon)

    def failed():
        clocked_daemon.settle(seconds=20)
        assert settled_plus_reserved(clocked_daemon) <= most, clocked_daemon.workspace().observed
        return clocked_daemon.state() == "failed"

    eventually(failed, 120)
    [reservation] = clocked_daemon.reservations()
    assert reservation.until == reservation.since


def test_hibernating_is_charged_until_asleep_and_stopping_is_not(clocked_daemon):
    launch_until_running(clocked_daemon)
    asked_at = clocked_daemon.now
    assert clocked_daemon.verb("mine", "hibernate").status_code == 200
    clocked_daemon.settle()
    settle_until_state(clocked_daemon, "hibernated")
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
    settle_until_state(clocked_daemon, "running", seconds=30)
    before = sum(
        segment.ended - segment.began
        for segment in clocked_daemon.segments()
        if segment.kind is CostKind.COMPUTE and segment.ended
    )
    clocked_daemon.settle(seconds=90)
    assert clocked_daemon.verb("mine", "stop").status_code == 200
    settle_until_state(clocked_daemon, "stopped")
    assert counted_seconds(clocked_daemon) - before == seconds_according_to_ec2(clocked_daemon), (
        "the time of stopping is not charged"
    )


@pytest.mark.parametrize("starts", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_start_is_charged_for_at_least_one_minute(clocked_daemon, starts):
    """EC2 API Reference, StartInstances: "a one-minute minimum ... every time you start"."""
    launch_until_running(clocked_daemon)
    clocked_daemon.settle(seconds=90)
    for _ in range(starts):
        assert clocked_daemon.verb("mine", "hibernate").status_code == 200
        settle_until_state(clocked_daemon, "hibernated", seconds=30)
        before = counted_seconds(clocked_daemon)
        assert clocked_daemon.verb("mine", "start").status_code == 200
        settle_until_state(clocked_daemon, "running")
        assert clocked_daemon.verb("mine", "stop").status_code == 200
        settle_until_state(clocked_daemon, "stopped")
        assert seconds_according_to_ec2(clocked_daemon) < 60
        assert counted_seconds(clocked_daemon) - before == 60
        assert clocked_daemon.verb("mine", "start").status_code == 200
        settle_until_state(clocked_daemon, "running", seconds=30)
        clocked_daemon.settle(seconds=90)
    assert clocked_daemon.recount(kind="compute") == clocked_daemon.recount(
        kind="compute", start=0
    )
    filled = [segment for segment in clocked_daemon.segments() if segment.is_minimum]
    assert len(filled) == starts
    runs = {
        segment.ended
        for segment in clocked_daemon.segments()
        if segment.kind is CostKind.COMPUTE and segment not in filled
    }
    assert all(segment.began in runs for segment in filled), (
        "the minimum is charged after the run, not before"
    )
    clocked_daemon.balances()


@pytest.mark.parametrize(("minutes", "free"), [(20, True), (70, False)])
def test_spot_machine_that_is_taken_back_in_its_first_hour_is_free(
    clocked_daemon, aws, minutes, free
):
    """EC2 User Guide, "Billing for interrupted Spot Instances"; the disk costs money as usual."""
    set_rules(aws, times={"taken": 7200})
    launch_until_running(clocked_daemon, spot=True, hibernation=False)
    settle_for(clocked_daemon, minutes * 60 - BOOT)
    aws.interrupt(clocked_daemon.workspace().machine_id)
    settle_until_state(clocked_daemon, "stopped")
    paid = {
        segment.kind: (segment.amount, segment.source)
        for segment in clocked_daemon.segments()
        if segment.kind is not CostKind.ASLEEP
    }
    assert (paid[CostKind.COMPUTE] == (0, TAKEN_BACK)) is free
    assert paid[CostKind.ROOT][0] > 0
    [(_, settled, _)] = clocked_daemon.balances("lab")
    assert (settled < 10_000) is free, "the address of the machine costs money"


def test_minimum_minute_of_a_start_is_booked_after_the_run(clocked_daemon, aws):
    """A run of seconds at the begin of a month: the month before is charged for none of it."""
    clocked_daemon.pool("grant", 50.0, "daily")
    clocked_daemon.project("p")
    clocked_daemon.allocate("grant", "p", 50.0)
    month = (clocked_daemon.clock.now().replace(day=1) + timedelta(days=32)).replace(day=1)
    midnight = int(month.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    clocked_daemon.clock.advance(seconds=midnight - clocked_daemon.now - PENDING - 2)
    launch_until_machine(clocked_daemon, project="p")
    while not counted_seconds(clocked_daemon):
        clocked_daemon.settle(seconds=1)
    assert clocked_daemon.now - midnight < 10
    call_ec2(clocked_daemon, "terminate_instances")

    def charges_have_ended():
        clocked_daemon.settle(seconds=2)
        return [
            segment
            for segment in clocked_daemon.segments()
            if segment.kind is CostKind.COMPUTE and segment.ended
        ][1:]

    [rest] = eventually(charges_have_ended, 120)
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
    clocked_daemon.balances()
    clocked_daemon.settle(seconds=90)
    clocked_daemon.balances()
    assert clocked_daemon.get("budgets/grant")["spent"] == round(
        clocked_daemon.recount(midnight) / 1e6, 2
    )


@pytest.mark.slow
def test_machine_that_hibernates_itself_is_charged_until_asleep(clocked_daemon):
    """The daemon did not request it: EC2's reason tells hibernation from a stop."""
    launch_until_running(clocked_daemon)
    asked_at = clocked_daemon.now
    call_ec2(clocked_daemon, "stop_instances", Hibernate=True)
    clocked_daemon.settle(seconds=SLACK)
    assert (clocked_daemon.state(), clocked_daemon.workspace().verb) == ("stopping", "launch")
    settle_until_state(clocked_daemon, "hibernated")
    [compute] = [
        segment for segment in clocked_daemon.segments() if segment.kind is CostKind.COMPUTE
    ]
    assert HIBERNATING <= compute.ended - asked_at <= HIBERNATING + 2 * SLACK


def test_unobserved_time_costs_no_more_than_was_reserved(clocked_daemon):
    launch_until_running(clocked_daemon)
    settle_for(clocked_daemon, 40)
    asked_at = clocked_daemon.now
    call_ec2(clocked_daemon, "stop_instances", Hibernate=True)
    clocked_daemon.settle(hours=20)
    assert clocked_daemon.state() == "hibernated"
    [compute] = [
        segment for segment in clocked_daemon.segments() if segment.kind is CostKind.COMPUTE
    ]
    assert compute.ended - asked_at == 600
    assert compute.reconstructed
    clocked_daemon.check_caps()


def test_run_while_the_daemon_is_away_is_charged(clocked_daemon, start_daemon):
    """The daemon ends a second after a launch; the machine stops at its expiry."""
    launch_until_machine(clocked_daemon, ttl_hours=2)
    assert clocked_daemon.workspace().observed == "starting"
    clocked_daemon.daemon.close()
    clocked_daemon.clock.advance(hours=8)
    after = start_daemon()
    after.settle(seconds=SLACK)
    assert after.state() in {"stopped", "hibernated"}
    assert abs(counted_seconds(after) - 2 * 3600) <= 700
    [segment] = [segment for segment in after.segments() if segment.kind is CostKind.COMPUTE]
    assert segment.reconstructed
    after.check_caps()


def test_launch_without_an_observed_machine_is_not_charged(clocked_daemon, start_daemon):
    launch_until_machine(clocked_daemon)
    clocked_daemon.daemon.close()
    clocked_daemon.clock.advance(seconds=30)  # EC2 shows it by now
    call_ec2(clocked_daemon, "terminate_instances")
    after = start_daemon()
    after.settle(seconds=20)
    assert counted_seconds(after) == 0


def test_plan_months_of_machine_disk_and_address_equal_the_forecast(clocked_daemon):
    plan = clocked_daemon.launch(project="lab", dry_run=True).json()
    launch_until_running(clocked_daemon)
    parts = plan["monthly"] + plan["disk_monthly"] + plan["address_monthly"]
    assert clocked_daemon.get("projects/lab/forecast")["monthly"] == pytest.approx(parts, abs=0.02)
    assert plan["address_monthly"] == 3.6
