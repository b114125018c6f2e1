"""What EC2 charges for, in the ledger: a whole daemon over the double of AWS."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest

from aws_double.rulebook import build as ruled
from prism.costs.model import CostKind
from prism.costs.plan import second
from prism.daemon.app import build
from prism.providers.aws.compute.instance import WRITTEN_AT
from prism.settings import Settings
from tests.money import ClockedDaemon
from tests.optional import not_none
from tests.providers.aws.place import AtOnce
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
def aws(silent):
    return silent


@pytest.fixture
def heard(aws, monkeypatch):
    """What machines say is heard in the double's time, which moves faster than threads do."""
    for what, stand_in in (
        ("compute.readiness.ThreadPoolExecutor", lambda *_: AtOnce()),
        ("compute.console.time", SimpleNamespace(monotonic=lambda: aws.clock.now().timestamp())),
    ):
        monkeypatch.setattr(f"prism.providers.aws.{what}", stand_in)


@pytest.fixture
def start(aws, heard, tmp_path):
    """A daemon on the one database; who comes second finds what the first has left."""
    daemons = []

    def make():
        database = f"sqlite:///{tmp_path}/state.db"
        settings = Settings(home=str(tmp_path), user="ada", database_url=database)
        daemon = build(settings, clock=aws.clock)
        daemons.append(daemon)
        daemon.db.create_tables()
        daemon.profiles.first_start({})
        return ClockedDaemon(daemon, Time(aws.clock))

    yield make
    for daemon in daemons:
        daemon.close()


@pytest.fixture
def lab(start, aws):
    it = start()
    order(aws)
    it.made("profiles", name="lab", provider="aws", region="us-east-1")
    it.post("profiles/switch", profile_name="lab")
    it.project(cap=10.0)
    return it


def order(aws, times=None, **said):
    usual = {"boot": BOOT, "pending": PENDING, "hibernating": HIBERNATING, "stopping": 30}
    aws.rules = ruled({"times": usual | (times or {})} | said)


def by_ec2(lab):
    """For how long it ran the last time, by what EC2 says of it."""
    [it] = boto3.client("ec2").describe_instances(InstanceIds=[lab.workspace().machine_id])[
        "Reservations"
    ][0]["Instances"]
    down = not_none(WRITTEN_AT.search(it["StateTransitionReason"]))[1]
    return second(datetime.fromisoformat(f"{down}+00:00")) - second(it["LaunchTime"])


def by_hand(lab, action, **more):
    """Somebody does it at AWS's own console, or the machine itself does."""
    getattr(boto3.client("ec2"), action)(InstanceIds=[lab.workspace().machine_id], **more)


def becomes(lab, state, seconds=SLACK):
    """Time passes, and the daemon looks, until it is that."""

    def so():
        lab.settle(seconds=seconds)
        lab.keeps_every_cap()
        return lab.state() == state

    eventually(so, 120)


def passes(lab, seconds):
    """Time passes, and the daemon looks every few seconds."""
    for _ in range(0, seconds, SLACK):
        lab.settle(seconds=SLACK)
        lab.keeps_every_cap()


def taken(lab):
    """What is settled and set aside together."""
    [(_, settled, reserved)] = lab.standings("lab")
    return settled + reserved


def ran(lab, kind=CostKind.COMPUTE):
    return sum((it.ended or lab.now) - it.began for it in lab.segments() if it.kind is kind)


def launched(lab, project="lab", **more):
    answer = lab.launch(project=project, **more)
    assert answer.status_code == 201, answer.text
    for _ in range(20):  # EC2 shows late what was made for it
        lab.settle(seconds=1)
        if lab.workspace().machine_id is not None:
            break


def running(lab, **more):
    launched(lab, **more)
    becomes(lab, "running", seconds=30)


def test_what_is_pending_costs_nothing_and_what_boots_costs_all(lab):
    launched(lab)
    assert (lab.state(), lab.segments()) == ("launching", [])
    passes(lab, 60)
    assert lab.state() == "launching"
    assert {it.kind for it in lab.segments()} == {
        CostKind.ROOT,
        CostKind.COMPUTE,
        CostKind.ADDRESS,
    }
    assert 50 <= ran(lab) <= 60
    becomes(lab, "running", seconds=30)
    assert len(lab.segments()) == 3, "nothing changes in what it costs"


def test_a_launch_that_is_given_up_while_it_boots_is_paid(lab):
    launched(lab)
    passes(lab, 60)
    lab.verb("mine", "terminate", confirm="DELETE")
    becomes(lab, "terminated")
    assert ran(lab, CostKind.ADDRESS) == ran(lab)
    assert ran(lab) == by_ec2(lab) >= 50
    assert lab.reservations() == []


def test_each_failed_boot_is_paid_until_it_stops(lab, aws):
    """Stopping costs nothing, and the money for the rest is free again."""
    order(aws, boot={"fails": "failed"})
    launched(lab)
    becomes(lab, "failed", seconds=20)
    once = by_ec2(lab)
    assert ran(lab) == once >= BOOT
    [it] = lab.reservations()
    assert it.until == it.since
    assert lab.verb("mine", "start").status_code == 200
    becomes(lab, "failed", seconds=20)
    assert ran(lab) == once + by_ec2(lab) >= 2 * BOOT


def test_a_failed_boot_uses_up_what_was_set_aside_for_it_and_the_next_must_fit(lab, aws):
    """So tries that fail, one after the other, end at the cap."""
    lab.project("poor", cap=1.71)  # a disk for a month and 70 minutes, and 5 minutes to spare
    order(aws, boot={"fails": "failed"})
    launched(lab, project="poor")
    becomes(lab, "failed", seconds=20)
    again = lab.verb("mine", "start")
    assert (again.status_code, again.json()["error"]["code"]) == (403, "BUDGET_EXCEEDED")


@pytest.mark.slow
def test_what_a_failed_start_has_cost_is_not_held_a_second_time(lab, aws):
    """While it is stopped it counts as starting: the rest is held on, but not what it ran."""
    running(lab)
    assert lab.verb("mine", "stop").status_code == 200
    becomes(lab, "stopped")
    order(aws, boot={"fails": "failed"}, times={"stopping": 300})
    assert lab.verb("mine", "start").status_code == 200
    most = taken(lab)

    def failed():
        lab.settle(seconds=20)
        assert taken(lab) <= most, lab.workspace().seen
        return lab.state() == "failed"

    eventually(failed, 120)
    [it] = lab.reservations()
    assert it.until == it.since


def test_hibernating_is_paid_until_it_sleeps_and_stopping_is_not(lab):
    running(lab)
    asked_at = lab.now
    assert lab.verb("mine", "hibernate").status_code == 200
    lab.settle()
    becomes(lab, "hibernated")
    [compute] = [it for it in lab.segments() if it.kind is CostKind.COMPUTE]
    [asleep] = [it for it in lab.segments() if it.kind is CostKind.ASLEEP]
    assert HIBERNATING <= compute.ended - asked_at <= HIBERNATING + 2 * SLACK
    assert asleep.began == compute.ended
    assert not compute.reconstructed

    assert lab.verb("mine", "start").status_code == 200
    becomes(lab, "running", seconds=30)
    before = sum(
        it.ended - it.began for it in lab.segments() if it.kind is CostKind.COMPUTE and it.ended
    )
    lab.settle(seconds=90)
    assert lab.verb("mine", "stop").status_code == 200
    becomes(lab, "stopped")
    assert ran(lab) - before == by_ec2(lab), "no second of stopping"


def test_each_start_is_charged_for_a_minute_at_least(lab):
    """EC2 API Reference, StartInstances: "a one-minute minimum ... every time you start"."""
    running(lab)
    lab.settle(seconds=90)
    for _ in range(2):
        assert lab.verb("mine", "hibernate").status_code == 200
        becomes(lab, "hibernated")
        before = ran(lab)
        assert lab.verb("mine", "start").status_code == 200
        becomes(lab, "running")
        assert lab.verb("mine", "stop").status_code == 200
        becomes(lab, "stopped")
        assert by_ec2(lab) < 60
        assert ran(lab) - before == 60
        assert lab.verb("mine", "start").status_code == 200
        becomes(lab, "running", seconds=30)
        lab.settle(seconds=90)
    assert lab.recount(kind="compute") == lab.recount(kind="compute", start=0)
    filled = [it for it in lab.segments() if "to 60 s for a start" in it.detail]
    assert len(filled) == 2
    runs = {it.ended for it in lab.segments() if it.kind is CostKind.COMPUTE and it not in filled}
    assert all(it.began in runs for it in filled), "it is charged after the run, not before it"
    lab.standings()


def test_the_minute_of_a_start_is_charged_after_it_never_before(lab, aws):
    """A run of seconds begins and ends at midnight: nothing of it is in the month before."""
    lab.pool("grant", 50.0, "daily")
    lab.project("p")
    lab.allocate("grant", "p", 50.0)
    month = (lab.clock.now().replace(day=1) + timedelta(days=32)).replace(day=1)
    midnight = int(month.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    lab.clock.advance(seconds=midnight - lab.now - PENDING - 2)
    launched(lab, project="p")
    while not ran(lab):
        lab.settle(seconds=1)
    assert lab.now - midnight < 10
    by_hand(lab, "terminate_instances")

    def over():
        lab.settle(seconds=2)
        return [it for it in lab.segments() if it.kind is CostKind.COMPUTE and it.ended][1:]

    [rest] = eventually(over, 120)
    [run] = [it for it in lab.segments() if it.kind is CostKind.COMPUTE and it != rest]
    assert rest.began == run.ended
    assert rest.ended == run.began + 60
    last_month = f"projects/p/report?month={month - timedelta(days=1):%Y-%m}"
    assert lab.get(last_month)["micros"] == lab.recount(0, midnight, project=run.project)
    assert lab.recount(run.began - 3600, run.began, kind=CostKind.COMPUTE) == 0
    lab.standings()
    lab.settle(seconds=90)
    lab.standings()
    assert lab.get("budgets/grant")["spent"] == round(lab.recount(midnight) / 1e6, 2)


def test_one_that_sends_itself_to_sleep_is_paid_until_it_sleeps(lab):
    """Nobody here asked for it: EC2's reason says what kind of stop it is."""
    running(lab)
    asked_at = lab.now
    by_hand(lab, "stop_instances", Hibernate=True)
    lab.settle(seconds=SLACK)
    assert (lab.state(), lab.workspace().verb) == ("stopping", "launch")
    becomes(lab, "hibernated")
    [compute] = [it for it in lab.segments() if it.kind is CostKind.COMPUTE]
    assert HIBERNATING <= compute.ended - asked_at <= HIBERNATING + 2 * SLACK


def test_where_nobody_looked_it_took_what_was_set_aside_and_no_more(lab):
    running(lab)
    passes(lab, 40)
    asked_at = lab.now
    by_hand(lab, "stop_instances", Hibernate=True)
    lab.settle(hours=20)
    assert lab.state() == "hibernated"
    [compute] = [it for it in lab.segments() if it.kind is CostKind.COMPUTE]
    assert compute.ended - asked_at == 600
    assert compute.reconstructed
    lab.keeps_every_cap()


def test_a_run_that_nobody_saw_is_paid(lab, start):
    """The daemon is gone a second after a launch; the machine goes down when it was told to."""
    launched(lab, ttl_hours=2)
    assert lab.workspace().seen == "starting"
    lab.daemon.close()
    lab.clock.advance(hours=8)
    after = start()
    after.settle(seconds=SLACK)
    assert after.state() in {"stopped", "hibernated"}
    assert abs(ran(after) - 2 * 3600) <= 700
    [it] = [it for it in after.segments() if it.kind is CostKind.COMPUTE]
    assert it.reconstructed
    after.keeps_every_cap()


def test_one_that_never_got_a_machine_ran_for_nothing(lab, start):
    launched(lab)
    lab.daemon.close()
    lab.clock.advance(seconds=30)  # EC2 shows it to everybody by now
    by_hand(lab, "terminate_instances")
    after = start()
    after.settle(seconds=20)
    assert ran(after) == 0


def test_a_plan_says_a_month_of_all_that_the_forecast_counts_then(lab):
    """Its machine, its disk and its public address."""
    plan = lab.launch(project="lab", dry_run=True).json()
    running(lab)
    parts = plan["monthly"] + plan["disk_monthly"] + plan["address_monthly"]
    assert lab.get("projects/lab/forecast")["monthly"] == pytest.approx(parts, abs=0.02)
    assert plan["address_monthly"] == 3.6
