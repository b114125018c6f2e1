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
def unseen_workspace(clocked_daemon):
    """A workspace with an hour to live, and 48 hours in which nobody looks."""
    clocked_daemon.project("lab", 12.0)
    clocked_daemon.project("other", 12.0)
    clocked_daemon.running(project="lab", ttl_hours=1)
    clocked_daemon.settle(minutes=30)
    clocked_daemon.clock.advance(hours=48)
    return clocked_daemon


def compute(clocked_daemon):
    return clocked_daemon.get("projects/lab/budget")["cost_breakdown"]["compute"]


def keeper(clocked_daemon):
    """What renews, warns and asks for prices works before any place has answered."""
    clocked_daemon.daemon.budget_loop.patrol()
    while clocked_daemon.daemon.budget_loop.once():
        pass


def dearer(clocked_daemon, monkeypatch, hourly=RATE * 2):
    terms = "prism.providers.local.offer.LocalOffer.price"
    monkeypatch.setattr(terms, lambda *of, **more: (hourly, "simulated: dearer"))
    clocked_daemon.daemon.prices.hurry()


def test_time_that_no_survey_confirmed_is_not_counted(unseen_workspace):
    assert compute(unseen_workspace) == 0.04, "half an hour, which somebody saw"
    unseen_workspace.settle()
    assert unseen_workspace.state() == "hibernated"
    assert unseen_workspace.recount(kind="compute") == RATE
    assert compute(unseen_workspace) == 0.08


def test_many_machines_are_confirmed_less_often_than_they_are_looked_at(
    clocked_daemon, monkeypatch
):
    monkeypatch.setattr(reconciler, "CONFIRMED_A_SECOND", 1 / 20)
    clocked_daemon.project("lab", 12.0)
    clocked_daemon.running(project="lab")

    def counted():
        with clocked_daemon.daemon.db.read() as sql:
            [until] = store.counted_of_open(sql).values()
        return until

    clocked_daemon.settle(seconds=20)
    looks = []
    for _ in range(9):
        before = counted()
        clocked_daemon.settle(seconds=5)
        looks.append(counted() - before)
    assert looks == [0, 0, 0, 20, 0, 0, 0, 20, 0]
    clocked_daemon.settle(minutes=30)
    assert counted() == int(clocked_daemon.clock.now().timestamp())


@pytest.mark.parametrize("gap", [timedelta(minutes=40), timedelta(hours=6), timedelta(days=9)])
def test_a_changed_price_waits_for_a_look(clocked_daemon, monkeypatch, gap):
    clocked_daemon.project("lab", 12.0)
    clocked_daemon.running(project="lab", ttl_hours=1)
    clocked_daemon.settle(minutes=30)
    clocked_daemon.clock.time += gap
    dearer(clocked_daemon, monkeypatch)
    keeper(clocked_daemon)
    clocked_daemon.settle()
    clocked_daemon.settle(seconds=30)
    assert clocked_daemon.recount(kind="compute") == RATE, "an hour at the old price"
    [paid] = [segment for segment in clocked_daemon.segments() if segment.kind == "compute"]
    assert paid.reconstructed
    assert clocked_daemon.workspace().hourly_rate == 2 * RATE, "the next start is dearer"


def test_a_changed_price_counts_from_the_look_that_still_shows_it_running(
    clocked_daemon, monkeypatch
):
    clocked_daemon.project("lab", 12.0)
    clocked_daemon.running(project="lab")
    dearer(clocked_daemon, monkeypatch)
    clocked_daemon.settle(minutes=30)
    clocked_daemon.settle(minutes=30)
    first, second = [segment for segment in clocked_daemon.segments() if segment.kind == "compute"]
    assert (first.amount, second.amount) == (RATE, 2 * RATE)
    assert first.ended == second.began


def test_a_move_waits_for_a_look(unseen_workspace):
    fault = failed(unseen_workspace.verb("mine", "move", project="other"), 503, "UNAVAILABLE")
    assert "was last seen at 2026-01-01 00:30 UTC" in fault["message"]
    unseen_workspace.settle()
    answer = unseen_workspace.verb("mine", "move", project="other")
    assert answer.status_code == 200, answer.text
    [paid] = [segment for segment in unseen_workspace.segments() if segment.kind == "compute"]
    assert (paid.ended - paid.began, paid.project) == (
        HOUR,
        unseen_workspace.get("projects/lab")["id"],
    )


def test_nothing_else_is_put_to_sleep_for_time_that_never_ran(unseen_workspace):
    """Renewals that come before the first look change nothing."""
    unseen_workspace.launch("another", project="lab", ttl_hours=3)
    unseen_workspace.daemon.loop.once()
    for _ in range(3):
        keeper(unseen_workspace)
    assert unseen_workspace.reasons() == []
    unseen_workspace.settle()
    unseen_workspace.settle(minutes=1)
    assert unseen_workspace.state("another") == "running"
    assert unseen_workspace.reasons() == []


def test_the_first_launch_is_not_refused_for_time_that_never_ran(clocked_daemon):
    clocked_daemon.project("lab", 3.6)
    clocked_daemon.running(project="lab", ttl_hours=1)
    clocked_daemon.clock.advance(hours=48)
    assert clocked_daemon.launch("next", project="lab").status_code == 201
    clocked_daemon.settle()
    clocked_daemon.keeps_every_cap()


def test_no_threshold_is_reached_by_time_that_never_ran(unseen_workspace):
    keeper(unseen_workspace)
    assert unseen_workspace.events("budget_threshold_exceeded") == []


def test_what_still_runs_is_counted_in_full_once_it_is_seen(clocked_daemon):
    """Without a cap nobody tells it to go down: it has run all the time."""
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab")
    clocked_daemon.clock.advance(hours=48)
    assert clocked_daemon.get("projects/lab/budget")["cost_breakdown"]["compute"] == 0.0
    clocked_daemon.settle()
    assert clocked_daemon.recount(kind="compute") == 48 * RATE
    assert clocked_daemon.get("projects/lab/budget")["cost_breakdown"]["compute"] == round(
        48 * 0.0832, 2
    )


def test_days_that_were_summed_up_without_a_look_are_summed_up_anew(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab")
    clocked_daemon.clock.advance(hours=72)
    assert clocked_daemon.daemon.ledger.roll() == 3
    clocked_daemon.settle()
    clocked_daemon.settle(seconds=30)
    days = clocked_daemon.get("costs/history?start_date=2026-01-01&end_date=2026-01-04")[
        "daily_costs"
    ]
    disk = 1_600_000 // 30
    assert [bar["cost"] for bar in days][:3] == [round((24 * RATE + disk) / 1e6, 2)] * 3


def test_a_day_that_was_summed_up_lacks_nothing_of_what_ended_unseen(clocked_daemon, cloud):
    """It went down after midnight, and the day was summed up before anybody looked."""
    clocked_daemon.clock.advance(hours=23)
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab")
    [machine] = cloud.survey()
    clocked_daemon.clock.advance(hours=2)
    clocked_daemon.daemon.ledger.roll()
    cloud.becomes(machine.id, "off")
    clocked_daemon.settle()
    clocked_daemon.settle(seconds=30)
    days = clocked_daemon.get("costs/history?start_date=2026-01-01&end_date=2026-01-02")[
        "daily_costs"
    ]
    assert days[0]["micros"] == RATE + 2222
    assert sum(bar["micros"] for bar in days) == clocked_daemon.recount()


def test_a_place_that_does_not_answer_counts_until_it_was_seen(clocked_daemon, cloud):
    clocked_daemon.project("lab", 12.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.settle(minutes=10)
    cloud.faults.down = True
    for _ in range(6):
        clocked_daemon.settle(minutes=10)
    assert clocked_daemon.recount(kind="compute") == RATE // 6
    clocked_daemon.keeps_every_cap()
    cloud.faults.down = False
    clocked_daemon.settle(minutes=10)
    assert clocked_daemon.recount(kind="compute") == RATE, (
        "its hold was an hour, and it kept to it"
    )


def test_what_is_free_is_always_current(make_daemon, clock):
    """Nobody has to look at it before its project changes."""
    daemon = make_daemon()
    Http(daemon.app).launch()
    daemon.settle()
    clock.advance(hours=5)
    with daemon.db.read() as sql:
        assert daemon.ledger.is_current(sql, daemon.workspaces.named("mine").id)


@pytest.mark.parametrize("verb", ["launch", "start"])
def test_what_came_up_and_went_down_unseen_has_cost_its_run(clocked_daemon, cloud, verb):
    """It was still on its way when the laptop was closed, and ran until it expired."""
    clocked_daemon.project("lab", 12.0)
    if verb == "start":
        clocked_daemon.running(project="lab", ttl_hours=1)
        clocked_daemon.verb("mine", "stop")
        clocked_daemon.settle(seconds=30)
    before = clocked_daemon.recount(kind="compute")
    cloud.faults.slow = timedelta(minutes=4)
    if verb == "start":
        assert clocked_daemon.verb("mine", "start").status_code == 200
    else:
        clocked_daemon.launch(project="lab", ttl_hours=1)
    clocked_daemon.settle(seconds=10)
    assert clocked_daemon.workspace().seen == "starting"
    ends = clocked_daemon.workspace().expires_at
    came_up = clocked_daemon.clock.now() + timedelta(minutes=4)
    clocked_daemon.clock.advance(hours=48)
    assert clocked_daemon.recount(kind="compute") == before, "nobody has looked yet"
    clocked_daemon.settle()
    assert clocked_daemon.state() == "hibernated"
    ran = int(ends.timestamp()) - int(came_up.timestamp())
    assert clocked_daemon.recount(kind="compute") - before == RATE * ran // HOUR
    assert [segment for segment in clocked_daemon.segments() if segment.kind == "compute"][
        -1
    ].reconstructed
    started = [call for call in cloud.calls if call.startswith("start")]
    assert len(started) == (verb == "start"), "it had its run, and is not started once more"


def test_what_a_workspace_is_listed_to_have_cost_counts_no_time_that_never_ran(unseen_workspace):
    """Before a look after the gap, and after it: as its project says."""

    def looked(clocked_daemon):
        clocked_daemon.settle()
        clocked_daemon.settle(seconds=31)  # a list is as of the last settlement

    for look in (keeper, looked):
        look(unseen_workspace)
        [listed] = unseen_workspace.get("instances")
        ever = unseen_workspace.get("projects/lab/budget")["current_spend"]
        assert listed["current_spend"] == ever == round(unseen_workspace.recount(), -4) / 1e6
    assert unseen_workspace.recount(kind="compute") == RATE
