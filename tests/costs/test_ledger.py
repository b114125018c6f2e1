"""When segments open and close, and at which price."""

from datetime import timedelta

import pytest

from prism.costs.model import CostKind
from prism.providers.local.offer import LocalOffer
from tests.money import ClockedDaemon
from tests.months import january
from tests.optional import not_none

HOUR = 3600
RATE = 83_200  # t3.large, the default of the template
DISK = 80_000 * 20  # a month


def kinds(clocked_daemon):
    return [(segment.kind, segment.ended is None) for segment in clocked_daemon.segments()]


def test_launching_machine_costs_nothing_until_it_starts(clocked_daemon, cloud):
    cloud.faults.slow = timedelta(minutes=10)
    clocked_daemon.launch()
    clocked_daemon.settle()
    clocked_daemon.settle(minutes=9)
    assert clocked_daemon.state() == "launching"
    assert clocked_daemon.segments() == []
    clocked_daemon.settle(minutes=2)
    assert kinds(clocked_daemon) == [(CostKind.ROOT, True), (CostKind.COMPUTE, True)]


def test_running_workspace_costs_compute_and_disk(clocked_daemon):
    clocked_daemon.running()
    clocked_daemon.settle(hours=3)
    [root, compute] = clocked_daemon.segments()
    assert (root.amount, root.hours, compute.amount, compute.hours) == (DISK, 720, RATE, 1)
    assert compute.source.startswith("simulated: ")
    assert root.source.startswith("simulated: ")
    assert str(compute.as_of) == str(root.as_of) == "2026-11-24"
    assert clocked_daemon.recount() == 3 * RATE + january(DISK, 0, 3)
    assert clocked_daemon.get("instances/mine")["current_spend"] == 0.26


@pytest.mark.parametrize(("verb", "state"), [("stop", "stopped"), ("hibernate", "hibernated")])
def test_stopped_or_hibernated_workspace_costs_only_its_disk(clocked_daemon, verb, state):
    clocked_daemon.running()
    clocked_daemon.settle(hours=1)
    clocked_daemon.verb("mine", verb)
    clocked_daemon.settle()
    assert clocked_daemon.state() == state
    clocked_daemon.settle(hours=10)
    assert clocked_daemon.recount(kind=CostKind.COMPUTE) == RATE
    assert clocked_daemon.recount(kind=CostKind.ROOT) == january(DISK, 0, 11)
    asleep = [segment for segment in clocked_daemon.segments() if segment.kind is CostKind.ASLEEP]
    assert len(asleep) == (verb == "hibernate")


def test_terminated_workspace_costs_nothing_more(clocked_daemon):
    clocked_daemon.running()
    clocked_daemon.settle(hours=1)
    clocked_daemon.verb("mine", "terminate", confirm="DELETE")
    clocked_daemon.settle()
    spent = clocked_daemon.recount()
    clocked_daemon.settle(hours=5)
    assert clocked_daemon.recount() == spent
    assert not [segment for segment in clocked_daemon.segments() if segment.ended is None]


def test_hibernating_still_costs_compute_and_stopping_does_not(clocked_daemon, cloud):
    clocked_daemon.running("a")
    clocked_daemon.running("b")
    cloud.faults.slow = timedelta(minutes=5)
    clocked_daemon.verb("a", "hibernate")
    clocked_daemon.verb("b", "stop")
    clocked_daemon.settle()
    assert (clocked_daemon.state("a"), clocked_daemon.state("b")) == ("hibernating", "stopping")
    compute = {
        segment.name: segment.ended
        for segment in clocked_daemon.segments()
        if segment.kind is CostKind.COMPUTE
    }
    assert (compute["a"], compute["b"]) == (None, clocked_daemon.now)


def test_prices_are_compared_again_after_an_hour(make_daemon, clock, cloud, clocked_daemon):
    clocked_daemon.running()
    clocked_daemon.settle(hours=1)
    dear = ClockedDaemon(make_daemon(), clock)  # the same database, with free machines
    dear.settle(minutes=1)
    assert [
        segment.amount for segment in clocked_daemon.segments() if segment.kind is CostKind.COMPUTE
    ] == [
        RATE,
        0,
    ]
    [event] = clocked_daemon.events("instance_repriced")
    assert (event.data["previous_hourly"], event.data["hourly"]) == (RATE, 0)


def double_prices(monkeypatch):
    usual = LocalOffer.price

    def dearer(*of):
        hourly, source = usual(*of)
        return 2 * not_none(hourly), source

    monkeypatch.setattr(LocalOffer, "price", dearer)


def test_every_living_workspace_with_a_changed_price_is_repriced_once(clocked_daemon, monkeypatch):
    for name, size in {"a": "M", "b": "M", "c": "S", "gone": "M"}.items():
        clocked_daemon.running(name, size=size)
    clocked_daemon.verb("gone", "terminate", confirm="DELETE")
    clocked_daemon.settle()
    clocked_daemon.daemon.workspaces.reprice(clocked_daemon.workspace("b").id, None, None)
    before = {n: not_none(clocked_daemon.workspace(n).hourly_rate) for n in ("a", "c", "gone")}
    double_prices(monkeypatch)
    watch = clocked_daemon.daemon.prices
    watch.look_soon()
    assert (watch.look(), watch.look()) == (3, 0)
    watch.look_soon()
    assert watch.look() == 0
    assert {
        name: clocked_daemon.workspace(name).hourly_rate for name in ("a", "b", "c", "gone")
    } == {
        "a": 2 * before["a"],
        "b": 2 * before["a"],
        "c": 2 * before["c"],
        "gone": before["gone"],
    }


def test_workspace_that_was_resized_meanwhile_keeps_the_price_of_its_new_type(
    clocked_daemon, monkeypatch
):
    clocked_daemon.running(size="M")
    clocked_daemon.verb("mine", "stop")
    clocked_daemon.settle()
    double_prices(monkeypatch)
    watch, requests = clocked_daemon.daemon.prices, clocked_daemon.daemon.workspaces
    reprice, resized = type(requests).reprice, list[int]()

    def after_a_resize(service, *of):
        answer = clocked_daemon.verb("mine", "resize", size="S")
        assert answer.status_code == 200, answer.text
        resized.append(not_none(clocked_daemon.workspace().hourly_rate))
        return reprice(service, *of)

    monkeypatch.setattr(type(requests), "reprice", after_a_resize)
    watch.look_soon()
    watch.look()
    assert clocked_daemon.workspace().hourly_rate == resized[0]


def test_prices_are_compared_after_the_clock_was_set_back(clocked_daemon, monkeypatch):
    clocked_daemon.running()
    usual, calls = LocalOffer.price, list[object]()

    def counted(*of):
        calls.append(of)
        return usual(*of)

    watch = clocked_daemon.daemon.prices
    watch.look_soon()
    watch.look()
    monkeypatch.setattr(LocalOffer, "price", counted)
    watch.look()
    assert not calls
    clocked_daemon.clock.advance(hours=-2)
    watch.look()
    assert calls


def test_price_change_closes_the_segment_and_opens_another(clocked_daemon):
    clocked_daemon.running()
    clocked_daemon.settle(hours=1)
    workspace = clocked_daemon.workspace()
    clocked_daemon.daemon.workspaces.reprice(workspace.id, 2 * RATE, "simulated: dearer")
    clocked_daemon.settle(minutes=30)
    compute = [
        segment for segment in clocked_daemon.segments() if segment.kind is CostKind.COMPUTE
    ]
    assert [(segment.amount, segment.began, segment.ended) for segment in compute] == [
        (RATE, clocked_daemon.now - HOUR // 2 - HOUR, clocked_daemon.now - HOUR // 2),
        (2 * RATE, clocked_daemon.now - HOUR // 2, None),
    ]
    assert clocked_daemon.get("instances/mine")["hourly_rate"] == 0.1664


def test_workspace_is_booked_on_its_project(clocked_daemon):
    project = clocked_daemon.project()
    clocked_daemon.running("a", project="lab")
    clocked_daemon.running("b")
    clocked_daemon.settle(hours=2)
    assert clocked_daemon.recount(project=project["id"]) == 2 * RATE + january(DISK, 0, 2)
    assert clocked_daemon.get("projects/lab")["budget"]["current_spend"] == 0.17


def test_late_stop_is_booked_at_the_providers_time_and_marked(clocked_daemon, cloud):
    clocked_daemon.running()
    [machine] = cloud.survey()
    clocked_daemon.settle(hours=1)
    cloud.set_state(machine.id, "off", at=clocked_daemon.clock.now() + timedelta(minutes=10))
    clocked_daemon.settle(hours=8)  # without a survey
    [_, compute] = clocked_daemon.segments()
    assert compute.ended == clocked_daemon.now - 8 * HOUR + 600
    assert compute.reconstructed
    assert clocked_daemon.recount(kind=CostKind.COMPUTE) == RATE * 70 // 60


def test_segments_observed_in_time_are_not_marked_as_reconstructed(clocked_daemon):
    clocked_daemon.running()
    clocked_daemon.live(minutes=10, step=1)
    clocked_daemon.verb("mine", "stop")
    clocked_daemon.settle()
    assert not [segment for segment in clocked_daemon.segments() if segment.reconstructed]


def test_machine_that_expired_unobserved_costs_until_its_expiry(clocked_daemon, cloud):
    cloud.reports_times = False  # like a provider that reports no times
    clocked_daemon.running(ttl_hours=2)
    clocked_daemon.settle(hours=1)
    clocked_daemon.settle(hours=24)
    clocked_daemon.settle()
    assert clocked_daemon.state() == "hibernated"
    assert clocked_daemon.recount(kind=CostKind.COMPUTE) == 2 * RATE
    [compute] = [
        segment for segment in clocked_daemon.segments() if segment.kind is CostKind.COMPUTE
    ]
    assert compute.reconstructed


def test_local_machine_costs_nothing_while_the_computer_sleeps(clocked_daemon, cloud):
    """The supervisor of a local machine slept too and reports the stop a day late."""
    clocked_daemon.running(ttl_hours=2)
    [machine] = cloud.survey()
    clocked_daemon.settle(hours=1)
    cloud.set_state(machine.id, "asleep", at=clocked_daemon.clock.now() + timedelta(hours=24))
    cloud.expire(machine.id, None, "stop")
    clocked_daemon.settle(hours=24)
    assert clocked_daemon.state() == "hibernated"
    assert clocked_daemon.recount(kind=CostKind.COMPUTE) == 2 * RATE


def test_unknown_price_is_null_and_not_zero(clocked_daemon, monkeypatch):
    monkeypatch.setattr("prism.providers.local.offer.price", lambda kind, region: None)
    clocked_daemon.running()
    clocked_daemon.settle(hours=1)
    workspace = clocked_daemon.get("instances/mine")
    assert (workspace["hourly_rate"], workspace["current_spend"]) == (None, None)
    assert clocked_daemon.get("costs/current")["unknown"] == ["mine"]
    assert clocked_daemon.recount() == january(1_600_000, 0, 1), (
        "totals contain the known cost of the disk"
    )


def test_local_machines_have_a_known_price_of_zero(make_daemon, clock):
    lab = ClockedDaemon(make_daemon(), clock)
    lab.running()
    lab.settle(hours=100)
    assert lab.get("instances/mine")["current_spend"] == 0.0
    now = lab.get("costs/current")
    assert (now["total_current_hourly"], now["unknown"]) == (0.0, [])
    assert [(segment.amount, segment.source) for segment in lab.segments()] == [
        (0, "local"),
        (0, "local"),
    ]
