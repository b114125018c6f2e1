"""What went down while nobody looked has cost nothing since, even before the first look."""

from datetime import timedelta

import pytest

from prism.costs import store
from prism.workspaces import reconciler
from tests.conftest import Http
from tests.shapes import failed

RATE = 83_200
HOUR = 3600


@pytest.fixture
def asleep(lab):
    """A workspace with an hour to live, and 48 hours in which nobody looks."""
    lab.project("lab", 12.0)
    lab.project("other", 12.0)
    lab.running(project="lab", ttl_hours=1)
    lab.settle(minutes=30)
    lab.clock.advance(hours=48)
    return lab


def compute(lab):
    return lab.get("projects/lab/budget")["cost_breakdown"]["compute"]


def keeper(lab):
    """What renews, warns and asks for prices works before any place has answered."""
    lab.daemon.wiring.budget_loop.patrol()
    while lab.daemon.wiring.budget_loop.once():
        pass


def dearer(lab, monkeypatch, hourly=RATE * 2):
    terms = "prism.providers.local.offer.LocalOffer.price"
    monkeypatch.setattr(terms, lambda *of, **more: (hourly, "simulated: dearer"))
    lab.daemon.wiring.prices.hurry()


def test_what_nobody_has_seen_to_run_is_not_counted(asleep):
    assert compute(asleep) == 0.04, "half an hour, which somebody saw"
    asleep.settle()
    assert asleep.state() == "hibernated"
    assert asleep.recount(kind="compute") == RATE
    assert compute(asleep) == 0.08


def test_many_machines_are_confirmed_less_often_than_they_are_looked_at(lab, monkeypatch):
    monkeypatch.setattr(reconciler, "CONFIRMED_A_SECOND", 1 / 20)
    lab.project("lab", 12.0)
    lab.running(project="lab")

    def counted():
        with lab.daemon.db.read() as sql:
            [until] = store.counted_of_open(sql).values()
        return until

    lab.settle(seconds=20)
    looks = []
    for _ in range(9):
        before = counted()
        lab.settle(seconds=5)
        looks.append(counted() - before)
    assert looks == [0, 0, 0, 20, 0, 0, 0, 20, 0]
    lab.settle(minutes=30)
    assert counted() == int(lab.clock.now().timestamp())


@pytest.mark.parametrize("gap", [timedelta(minutes=40), timedelta(hours=6), timedelta(days=9)])
def test_a_changed_price_waits_for_a_look(lab, monkeypatch, gap):
    lab.project("lab", 12.0)
    lab.running(project="lab", ttl_hours=1)
    lab.settle(minutes=30)
    lab.clock.time += gap
    dearer(lab, monkeypatch)
    keeper(lab)
    lab.settle()
    lab.settle(seconds=30)
    assert lab.recount(kind="compute") == RATE, "an hour at the old price"
    [paid] = [it for it in lab.segments() if it.kind == "compute"]
    assert paid.reconstructed
    assert lab.workspace().hourly_rate == 2 * RATE, "the next start is dearer"


def test_a_changed_price_counts_from_the_look_that_still_shows_it_running(lab, monkeypatch):
    lab.project("lab", 12.0)
    lab.running(project="lab")
    dearer(lab, monkeypatch)
    lab.settle(minutes=30)
    lab.settle(minutes=30)
    first, second = [it for it in lab.segments() if it.kind == "compute"]
    assert (first.amount, second.amount) == (RATE, 2 * RATE)
    assert first.ended == second.began


def test_a_move_waits_for_a_look(asleep):
    fault = failed(asleep.verb("mine", "move", project="other"), 503, "UNAVAILABLE")
    assert "was last seen at 2026-01-01 00:30 UTC" in fault["message"]
    asleep.settle()
    answer = asleep.verb("mine", "move", project="other")
    assert answer.status_code == 200, answer.text
    [paid] = [it for it in asleep.segments() if it.kind == "compute"]
    assert (paid.ended - paid.began, paid.project) == (HOUR, asleep.get("projects/lab")["id"])


def test_nothing_else_is_put_to_sleep_for_time_that_never_ran(asleep):
    """Renewals that come before the first look change nothing."""
    asleep.launch("another", project="lab", ttl_hours=3)
    asleep.daemon.wiring.loop.once()
    for _ in range(3):
        keeper(asleep)
    assert asleep.reasons() == []
    asleep.settle()
    asleep.settle(minutes=1)
    assert asleep.state("another") == "running"
    assert asleep.reasons() == []


def test_the_first_launch_is_not_refused_for_time_that_never_ran(lab):
    lab.project("lab", 3.6)
    lab.running(project="lab", ttl_hours=1)
    lab.clock.advance(hours=48)
    assert lab.launch("next", project="lab").status_code == 201
    lab.settle()
    lab.keeps_every_cap()


def test_no_threshold_is_told_of_time_that_never_ran(asleep):
    keeper(asleep)
    assert asleep.events("budget_threshold_exceeded") == []


def test_what_still_runs_is_counted_in_full_once_it_is_seen(lab):
    """Without a cap nobody tells it to go down: it has run all the time."""
    lab.project("lab")
    lab.running(project="lab")
    lab.clock.advance(hours=48)
    assert lab.get("projects/lab/budget")["cost_breakdown"]["compute"] == 0.0
    lab.settle()
    assert lab.recount(kind="compute") == 48 * RATE
    assert lab.get("projects/lab/budget")["cost_breakdown"]["compute"] == round(48 * 0.0832, 2)


def test_days_that_were_summed_up_without_a_look_are_summed_up_anew(lab):
    lab.project("lab")
    lab.running(project="lab")
    lab.clock.advance(hours=72)
    assert lab.daemon.wiring.ledger.roll() == 3
    lab.settle()
    lab.settle(seconds=30)
    days = lab.get("costs/history?start_date=2026-01-01&end_date=2026-01-04")["daily_costs"]
    disk = 1_600_000 // 30
    assert [bar["cost"] for bar in days][:3] == [round((24 * RATE + disk) / 1e6, 2)] * 3


def test_a_day_that_was_summed_up_lacks_nothing_of_what_ended_unseen(lab, cloud):
    """It went down after midnight, and the day was summed up before anybody looked."""
    lab.clock.advance(hours=23)
    lab.project("lab")
    lab.running(project="lab")
    [machine] = cloud.survey()
    lab.clock.advance(hours=2)
    lab.daemon.wiring.ledger.roll()
    cloud.becomes(machine.id, "off")
    lab.settle()
    lab.settle(seconds=30)
    days = lab.get("costs/history?start_date=2026-01-01&end_date=2026-01-02")["daily_costs"]
    assert days[0]["micros"] == RATE + 2222
    assert sum(bar["micros"] for bar in days) == lab.recount()


def test_a_place_that_does_not_answer_counts_until_it_was_seen(lab, cloud):
    lab.project("lab", 12.0)
    lab.running(project="lab")
    lab.settle(minutes=10)
    cloud.faults.down = True
    for _ in range(6):
        lab.settle(minutes=10)
    assert lab.recount(kind="compute") == RATE // 6
    lab.keeps_every_cap()
    cloud.faults.down = False
    lab.settle(minutes=10)
    assert lab.recount(kind="compute") == RATE, "its hold was an hour, and it kept to it"


def test_what_is_free_is_always_current(make_daemon, clock):
    """Nobody has to look at it before its project changes."""
    daemon = make_daemon()
    Http(daemon.app).launch()
    daemon.settle()
    clock.advance(hours=5)
    with daemon.db.read() as sql:
        assert daemon.wiring.ledger.is_current(sql, daemon.workspaces.named("mine").id)


@pytest.mark.parametrize("verb", ["launch", "start"])
def test_what_came_up_and_went_down_unseen_has_cost_its_run(lab, cloud, verb):
    """It was still on its way when the laptop was closed, and ran until it expired."""
    lab.project("lab", 12.0)
    if verb == "start":
        lab.running(project="lab", ttl_hours=1)
        lab.verb("mine", "stop")
        lab.settle(seconds=30)
    before = lab.recount(kind="compute")
    cloud.faults.slow = timedelta(minutes=4)
    if verb == "start":
        assert lab.verb("mine", "start").status_code == 200
    else:
        lab.launch(project="lab", ttl_hours=1)
    lab.settle(seconds=10)
    assert lab.workspace().seen == "starting"
    ends = lab.workspace().expires_at
    came_up = lab.clock.now() + timedelta(minutes=4)
    lab.clock.advance(hours=48)
    assert lab.recount(kind="compute") == before, "nobody has looked yet"
    lab.settle()
    assert lab.state() == "hibernated"
    ran = int(ends.timestamp()) - int(came_up.timestamp())
    assert lab.recount(kind="compute") - before == RATE * ran // HOUR
    assert [it for it in lab.segments() if it.kind == "compute"][-1].reconstructed
    started = [it for it in cloud.calls if it.startswith("start")]
    assert len(started) == (verb == "start"), "it had its run, and is not started once more"


def test_what_a_workspace_is_listed_to_have_cost_counts_no_time_that_never_ran(asleep):
    """Before a look after the gap, and after it: as its project says."""

    def looked(lab):
        lab.settle()
        lab.settle(seconds=31)  # a list is as of the last settlement

    for look in (keeper, looked):
        look(asleep)
        [listed] = asleep.get("instances")
        ever = asleep.get("projects/lab/budget")["current_spend"]
        assert listed["current_spend"] == ever == round(asleep.recount(), -4) / 1e6
    assert asleep.recount(kind="compute") == RATE
