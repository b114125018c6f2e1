"""Time in which no survey confirmed a machine is not counted, even before the next survey."""

from datetime import timedelta
from itertools import count

import pytest
from msgspec.structs import replace

from prism.costs import store
from prism.workspaces import reconciler
from tests.conftest import Http
from tests.shapes import failed

RATE = 83_200
HOUR = 3600


@pytest.fixture
def unseen_workspace(clocked_daemon):
    """A workspace that expires after an hour, and 48 hours without a survey."""
    clocked_daemon.project("lab", 12.0)
    clocked_daemon.project("other", 12.0)
    clocked_daemon.running(project="lab", ttl_hours=1)
    clocked_daemon.settle(minutes=30)
    clocked_daemon.clock.advance(hours=48)
    return clocked_daemon


def compute(clocked_daemon):
    return clocked_daemon.get("projects/lab/budget")["cost_breakdown"]["compute"]


def counted_until(clocked_daemon):
    """Until when the only open segment of compute counts."""
    with clocked_daemon.daemon.db.read() as sql:
        [until] = [row.counted for row in store.open_now(sql) if row.counted is not None]
    return until


def run_budget_loop(clocked_daemon):
    """Run the budget loop before any location has answered."""
    clocked_daemon.daemon.budget_loop.mark_due()
    while clocked_daemon.daemon.budget_loop.once():
        pass


def raise_price(clocked_daemon, monkeypatch, hourly=RATE * 2):
    terms = "prism.providers.local.offer.LocalOffer.price"
    monkeypatch.setattr(terms, lambda *of, **more: (hourly, "simulated: dearer"))
    clocked_daemon.daemon.prices.look_soon()


def test_compute_time_is_not_counted_before_a_survey_confirms_it(unseen_workspace):
    assert compute(unseen_workspace) == 0.04, "half an hour, confirmed by a survey"
    unseen_workspace.settle()
    assert unseen_workspace.state() == "hibernated"
    assert unseen_workspace.recount(kind="compute") == RATE
    assert compute(unseen_workspace) == 0.08


def test_segments_are_confirmed_at_a_limited_rate(clocked_daemon, monkeypatch):
    monkeypatch.setattr(reconciler, "CONFIRMED_A_SECOND", 1 / 20)
    clocked_daemon.project("lab", 12.0)
    clocked_daemon.running(project="lab")

    clocked_daemon.settle(seconds=20)
    looks = []
    for _ in range(9):
        before = counted_until(clocked_daemon)
        clocked_daemon.settle(seconds=5)
        looks.append(counted_until(clocked_daemon) - before)
    assert looks == [0, 0, 0, 20, 0, 0, 0, 20, 0]
    clocked_daemon.settle(minutes=30)
    assert counted_until(clocked_daemon) == int(clocked_daemon.clock.now().timestamp())


def test_survey_that_shows_another_change_also_confirms_the_run(
    clocked_daemon, cloud, monkeypatch
):
    clocked_daemon.project("lab", 12.0)
    clocked_daemon.running(project="lab")
    survey, surveys = cloud.survey, count(1)

    def with_another_address():
        octet = next(surveys)
        return [replace(machine, private_ip=f"10.0.0.{octet}") for machine in survey()]

    monkeypatch.setattr(cloud, "survey", with_another_address)
    for _ in range(3):
        clocked_daemon.settle(seconds=50)
        assert counted_until(clocked_daemon) == int(clocked_daemon.clock.now().timestamp())


@pytest.mark.parametrize("gap", [timedelta(minutes=40), timedelta(hours=6), timedelta(days=9)])
def test_price_change_does_not_apply_to_time_before_the_next_survey(
    clocked_daemon, monkeypatch, gap
):
    clocked_daemon.project("lab", 12.0)
    clocked_daemon.running(project="lab", ttl_hours=1)
    clocked_daemon.settle(minutes=30)
    clocked_daemon.clock.time += gap
    raise_price(clocked_daemon, monkeypatch)
    run_budget_loop(clocked_daemon)
    clocked_daemon.settle()
    clocked_daemon.settle(seconds=30)
    assert clocked_daemon.recount(kind="compute") == RATE, "an hour at the old price"
    [paid] = [segment for segment in clocked_daemon.segments() if segment.kind == "compute"]
    assert paid.reconstructed
    assert clocked_daemon.workspace().hourly_rate == 2 * RATE, (
        "the new price applies to the next start"
    )


def test_price_change_applies_from_the_survey_that_shows_the_machine_running(
    clocked_daemon, monkeypatch
):
    clocked_daemon.project("lab", 12.0)
    clocked_daemon.running(project="lab")
    raise_price(clocked_daemon, monkeypatch)
    clocked_daemon.settle(minutes=30)
    clocked_daemon.settle(minutes=30)
    first, second = [segment for segment in clocked_daemon.segments() if segment.kind == "compute"]
    assert (first.amount, second.amount) == (RATE, 2 * RATE)
    assert first.ended == second.began


def test_move_is_refused_until_a_survey_confirms_the_machine(unseen_workspace):
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


def test_other_workspace_is_not_hibernated_for_unconfirmed_time(unseen_workspace):
    """Renewals before the first survey have no effect."""
    unseen_workspace.launch("another", project="lab", ttl_hours=3)
    unseen_workspace.daemon.loop.once()
    for _ in range(3):
        run_budget_loop(unseen_workspace)
    assert unseen_workspace.reasons() == []
    unseen_workspace.settle()
    unseen_workspace.settle(minutes=1)
    assert unseen_workspace.state("another") == "running"
    assert unseen_workspace.reasons() == []


def test_launch_is_not_refused_for_unconfirmed_time(clocked_daemon):
    clocked_daemon.project("lab", 3.6)
    clocked_daemon.running(project="lab", ttl_hours=1)
    clocked_daemon.clock.advance(hours=48)
    assert clocked_daemon.launch("next", project="lab").status_code == 201
    clocked_daemon.settle()
    clocked_daemon.check_caps()


def test_alert_is_not_recorded_for_unconfirmed_time(unseen_workspace):
    run_budget_loop(unseen_workspace)
    assert unseen_workspace.events("budget_threshold_exceeded") == []


def test_running_machine_is_counted_in_full_after_the_next_survey(clocked_daemon):
    """Without a cap the machine has no expiry, so it ran all the time."""
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab")
    clocked_daemon.clock.advance(hours=48)
    assert clocked_daemon.get("projects/lab/budget")["cost_breakdown"]["compute"] == 0.0
    clocked_daemon.settle()
    assert clocked_daemon.recount(kind="compute") == 48 * RATE
    assert clocked_daemon.get("projects/lab/budget")["cost_breakdown"]["compute"] == 4.0, (
        "the cents of compute and storage add up"
    )


def test_daily_totals_are_recomputed_after_a_late_survey(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab")
    clocked_daemon.clock.advance(hours=72)
    assert clocked_daemon.daemon.ledger.roll() == 3
    clocked_daemon.settle()
    clocked_daemon.settle(seconds=30)
    days = clocked_daemon.get("costs/history?start_date=2026-01-01&end_date=2026-01-04")[
        "daily_costs"
    ]
    disk = 1_600_000 // 31
    assert [bar["cost"] for bar in days][:3] == [round((24 * RATE + disk) / 1e6, 2)] * 3


def test_daily_totals_include_a_machine_that_stopped_unobserved(clocked_daemon, cloud):
    """The machine stops after midnight; the day is summed up before the next survey."""
    clocked_daemon.clock.advance(hours=23)
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab")
    [machine] = cloud.survey()
    clocked_daemon.clock.advance(hours=2)
    clocked_daemon.daemon.ledger.roll()
    cloud.set_state(machine.id, "off")
    clocked_daemon.settle()
    clocked_daemon.settle(seconds=30)
    days = clocked_daemon.get("costs/history?start_date=2026-01-01&end_date=2026-01-02")[
        "daily_costs"
    ]
    assert days[0]["micros"] == RATE + 1_600_000 // (31 * 24)
    assert sum(bar["micros"] for bar in days) == clocked_daemon.recount()


def test_unreachable_location_is_counted_until_its_last_survey(clocked_daemon, cloud):
    clocked_daemon.project("lab", 12.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.settle(minutes=10)
    cloud.faults.down = True
    for _ in range(6):
        clocked_daemon.settle(minutes=10)
    assert clocked_daemon.recount(kind="compute") == RATE // 6
    clocked_daemon.check_caps()
    cloud.faults.down = False
    clocked_daemon.settle(minutes=10)
    assert clocked_daemon.recount(kind="compute") == RATE, "the machine ran for the reserved hour"


def test_ledger_of_a_free_workspace_is_always_current(make_daemon, clock):
    """It needs no survey before a move."""
    daemon = make_daemon()
    Http(daemon.app).launch()
    daemon.settle()
    clock.advance(hours=5)
    with daemon.db.read() as sql:
        assert daemon.ledger.is_current(sql, daemon.workspaces.named("mine").id)


@pytest.mark.parametrize("verb", ["launch", "start"])
def test_unobserved_run_between_two_surveys_is_counted(clocked_daemon, cloud, verb):
    """The machine was starting when the computer went to sleep, and ran until its expiry."""
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
    assert clocked_daemon.workspace().observed == "starting"
    ends = clocked_daemon.workspace().expires_at
    came_up = clocked_daemon.clock.now() + timedelta(minutes=4)
    clocked_daemon.clock.advance(hours=48)
    assert clocked_daemon.recount(kind="compute") == before, "no survey has taken place"
    clocked_daemon.settle()
    assert clocked_daemon.state() == "hibernated"
    ran = int(ends.timestamp()) - int(came_up.timestamp())
    assert clocked_daemon.recount(kind="compute") - before == RATE * ran // HOUR
    assert [segment for segment in clocked_daemon.segments() if segment.kind == "compute"][
        -1
    ].reconstructed
    started = [call for call in cloud.calls if call.startswith("start")]
    assert len(started) == (verb == "start"), "the workspace has run and is not started again"


def test_listed_cost_of_a_workspace_excludes_unconfirmed_time(unseen_workspace):
    """It equals the cost of the project, before and after the first survey."""

    def looked(clocked_daemon):
        clocked_daemon.settle()
        clocked_daemon.settle(seconds=31)  # a list is as of the last settlement

    for look in (run_budget_loop, looked):
        look(unseen_workspace)
        [listed] = unseen_workspace.get("instances")
        ever = unseen_workspace.get("projects/lab/budget")["current_spend"]
        assert listed["current_spend"] == ever == round(unseen_workspace.recount(), -4) / 1e6
    assert unseen_workspace.recount(kind="compute") == RATE
