"""What opens and closes segments, and at which time and price."""

from datetime import timedelta

import pytest

from prism.costs.model import CostKind
from prism.providers.local.offer import LocalOffer
from tests.money import ClockedDaemon
from tests.optional import not_none

HOUR = 3600
RATE = 83_200  # t3.large, the default of the template
DISK = 80_000 * 20  # a month


def kinds(lab):
    return [(it.kind, it.ended is None) for it in lab.segments()]


def test_what_is_pending_costs_nothing(lab, cloud):
    cloud.faults.slow = timedelta(minutes=10)
    lab.launch()
    lab.settle()
    lab.settle(minutes=9)
    assert lab.state() == "launching"
    assert lab.segments() == []
    lab.settle(minutes=2)
    assert kinds(lab) == [(CostKind.ROOT, True), (CostKind.COMPUTE, True)]


def test_running_costs_compute_and_disk(lab):
    lab.running()
    lab.settle(hours=3)
    [root, compute] = lab.segments()
    assert (root.amount, root.hours, compute.amount, compute.hours) == (DISK, 720, RATE, 1)
    assert compute.source.startswith("simulated: ")
    assert root.source.startswith("simulated: ")
    assert str(compute.as_of) == str(root.as_of) == "2026-11-24"
    assert lab.recount() == 3 * RATE + DISK * 3 // 720
    assert lab.get("instances/mine")["current_spend"] == 0.26


@pytest.mark.parametrize(("verb", "state"), [("stop", "stopped"), ("hibernate", "hibernated")])
def test_what_does_not_run_costs_only_its_disk(lab, verb, state):
    lab.running()
    lab.settle(hours=1)
    lab.verb("mine", verb)
    lab.settle()
    assert lab.state() == state
    lab.settle(hours=10)
    assert lab.recount(kind=CostKind.COMPUTE) == RATE
    assert lab.recount(kind=CostKind.ROOT) == DISK * 11 // 720
    asleep = [it for it in lab.segments() if it.kind is CostKind.ASLEEP]
    assert len(asleep) == (verb == "hibernate")


def test_nothing_costs_anything_after_its_end(lab):
    lab.running()
    lab.settle(hours=1)
    lab.verb("mine", "terminate", confirm="DELETE")
    lab.settle()
    spent = lab.recount()
    lab.settle(hours=5)
    assert lab.recount() == spent
    assert not [it for it in lab.segments() if it.ended is None]


def test_hibernating_still_costs_compute_and_stopping_does_not(lab, cloud):
    lab.running("a")
    lab.running("b")
    cloud.faults.slow = timedelta(minutes=5)
    lab.verb("a", "hibernate")
    lab.verb("b", "stop")
    lab.settle()
    assert (lab.state("a"), lab.state("b")) == ("hibernating", "stopping")
    compute = {it.name: it.ended for it in lab.segments() if it.kind is CostKind.COMPUTE}
    assert (compute["a"], compute["b"]) == (None, lab.now)


def test_prices_are_asked_again_every_hour(make_daemon, clock, cloud, lab):
    lab.running()
    lab.settle(hours=1)
    dear = ClockedDaemon(
        make_daemon(), clock
    )  # the same database, where this machine is free again
    dear.settle(minutes=1)
    assert [it.amount for it in lab.segments() if it.kind is CostKind.COMPUTE] == [RATE, 0]
    [told] = lab.events("instance_repriced")
    assert (told.data["previous_hourly"], told.data["hourly"]) == (RATE, 0)


def test_all_that_live_and_cost_something_else_now_are_repriced_once(lab, monkeypatch):
    for name, size in {"a": "M", "b": "M", "c": "S", "gone": "M"}.items():
        lab.running(name, size=size)
    lab.verb("gone", "terminate", confirm="DELETE")
    lab.settle()
    lab.daemon.workspaces.reprice(lab.workspace("b").id, None, None)
    before = {n: not_none(lab.workspace(n).hourly_rate) for n in ("a", "c", "gone")}
    usual = LocalOffer.price

    def dearer(*of):
        hourly, source = usual(*of)
        return 2 * not_none(hourly), source

    monkeypatch.setattr(LocalOffer, "price", dearer)
    watch = lab.daemon.wiring.prices
    watch.hurry()
    assert (watch.look(), watch.look()) == (3, 0)
    watch.hurry()
    assert watch.look() == 0
    assert {name: lab.workspace(name).hourly_rate for name in ("a", "b", "c", "gone")} == {
        "a": 2 * before["a"],
        "b": 2 * before["a"],
        "c": 2 * before["c"],
        "gone": before["gone"],
    }


def test_a_price_that_changes_closes_one_segment_and_opens_the_next(lab):
    lab.running()
    lab.settle(hours=1)
    it = lab.workspace()
    lab.daemon.workspaces.reprice(it.id, 2 * RATE, "simulated: dearer")
    lab.settle(minutes=30)
    compute = [it for it in lab.segments() if it.kind is CostKind.COMPUTE]
    assert [(it.amount, it.began, it.ended) for it in compute] == [
        (RATE, lab.now - HOUR // 2 - HOUR, lab.now - HOUR // 2),
        (2 * RATE, lab.now - HOUR // 2, None),
    ]
    assert lab.get("instances/mine")["hourly_rate"] == 0.1664


def test_a_project_that_is_named_pays(lab):
    project = lab.project()
    lab.running("a", project="lab")
    lab.running("b")
    lab.settle(hours=2)
    assert lab.recount(project=project["id"]) == 2 * RATE + DISK * 2 // 720
    assert lab.get("projects/lab")["budget"]["current_spend"] == 0.17


def test_the_providers_own_time_counts_and_a_late_one_is_marked(lab, cloud):
    lab.running()
    [machine] = cloud.survey()
    lab.settle(hours=1)
    cloud.becomes(machine.id, "off", at=lab.clock.now() + timedelta(minutes=10))
    lab.settle(hours=8)  # nobody looked meanwhile
    [_, compute] = lab.segments()
    assert compute.ended == lab.now - 8 * HOUR + 600
    assert compute.reconstructed
    assert lab.recount(kind=CostKind.COMPUTE) == RATE * 70 // 60


def test_what_is_seen_as_it_happens_is_not_marked(lab):
    lab.running()
    lab.live(minutes=10, step=1)
    lab.verb("mine", "stop")
    lab.settle()
    assert not [it for it in lab.segments() if it.reconstructed]


def test_a_machine_that_expired_while_a_laptop_slept_costs_until_then(lab, cloud):
    cloud.knows_when = False  # as a provider that says no times
    lab.running(ttl_hours=2)
    lab.settle(hours=1)
    lab.settle(hours=24)
    lab.settle()
    assert lab.state() == "hibernated"
    assert lab.recount(kind=CostKind.COMPUTE) == 2 * RATE
    [compute] = [it for it in lab.segments() if it.kind is CostKind.COMPUTE]
    assert compute.reconstructed


def test_what_slept_with_its_computer_has_computed_nothing(lab, cloud):
    """The supervisor of a local machine slept too, and went down a day late."""
    lab.running(ttl_hours=2)
    [machine] = cloud.survey()
    lab.settle(hours=1)
    cloud.becomes(machine.id, "asleep", at=lab.clock.now() + timedelta(hours=24))
    cloud.expire(machine.id, None, "stop")
    lab.settle(hours=24)
    assert lab.state() == "hibernated"
    assert lab.recount(kind=CostKind.COMPUTE) == 2 * RATE


def test_an_unknown_price_is_no_zero(lab, monkeypatch):
    monkeypatch.setattr("prism.providers.local.offer.price", lambda kind, region: None)
    lab.running()
    lab.settle(hours=1)
    shown = lab.get("instances/mine")
    assert (shown["hourly_rate"], shown["current_spend"]) == (None, None)
    assert lab.get("costs/current")["unknown"] == ["mine"]
    assert lab.recount() == 1_600_000 // 720, "totals add what is known: its disk"


def test_on_this_machine_everything_is_free_and_known(make_daemon, clock):
    lab = ClockedDaemon(make_daemon(), clock)
    lab.running()
    lab.settle(hours=100)
    assert lab.get("instances/mine")["current_spend"] == 0.0
    now = lab.get("costs/current")
    assert (now["total_current_hourly"], now["unknown"]) == (0.0, [])
    assert [(it.amount, it.source) for it in lab.segments()] == [(0, "local"), (0, "local")]
