"""A workspace that changes its project: other money pays, to the second, or nothing changes."""

import pytest

from prism.costs.model import CostKind
from tests.shapes import failed

RATE, DISK = 83_200, 1_600_000
NEEDED = -(-RATE * 70 // 60) + DISK


@pytest.fixture
def two(lab):
    """Two projects with caps, and one workspace that has run for an hour for the first."""
    lab.one = lab.project("one", 5.0)["id"]
    lab.two = lab.project("two", 5.0)["id"]
    lab.running("mine", project="one")
    lab.live(hours=1)
    return lab


def reserved(lab):
    return {cap.title: held for cap, _, held in lab.standings()}


def test_one_segment_closes_and_the_next_one_opens(two):
    moved = two.verb("mine", "move", project="two").json()
    assert (moved["previous_project"], moved["project"], moved["budget"]) == ("one", "two", None)
    two.live(hours=2)
    for kind in (CostKind.COMPUTE, CostKind.ROOT):
        first, second = (it for it in two.segments() if it.kind is kind)
        assert (first.project, second.project) == (two.one, two.two)
        assert first.ended == second.began == first.began + 3600
    assert two.recount(project=two.one) == RATE + DISK // 720
    assert two.recount(project=two.two) == 2 * RATE + DISK * 2 // 720
    assert two.get("projects/one")["budget"]["current_spend"] == 0.09
    assert two.get("instances/mine")["tags"]["Project"] == "two"
    [told] = two.events("instance_moved")
    assert (told.data["previous_project"], told.data["project"]) == (two.one, two.two)
    two.keeps_every_cap()


def test_the_old_money_is_free_and_the_new_is_held(two):
    assert two.verb("mine", "move", project="two").status_code == 200
    held = reserved(two)
    assert held["one"] == 0
    assert NEEDED - RATE <= held["two"] <= NEEDED
    failed(two.http("DELETE", "/api/v1/projects/two"), 409, "IN_USE")
    assert two.http("DELETE", "/api/v1/projects/one").status_code == 200


def test_who_cannot_pay_gets_nothing_and_nothing_changes(two):
    before = reserved(two)
    assert two.put("projects/two", budget={"total_allocated": 1.0}).status_code == 200
    failed(two.verb("mine", "move", project="two"), 403, "BUDGET_EXCEEDED")
    assert reserved(two) == before
    assert two.get("instances/mine")["tags"]["Project"] == "one"
    assert two.events("instance_moved") == []
    two.live(hours=1)
    assert two.recount(project=two.one) == two.recount()


def test_one_that_is_off_needs_money_for_its_disk_alone(two):
    two.verb("mine", "stop")
    two.settle()
    assert two.put("projects/two", budget={"total_allocated": 1.62}).status_code == 200
    assert two.verb("mine", "move", project="two").status_code == 200
    assert reserved(two) == {"one": 0, "two": DISK}
    failed(two.verb("mine", "start"), 403, "BUDGET_EXCEEDED")
    two.live(hours=3)
    assert reserved(two)["two"] >= DISK - DISK // 200
    assert two.state() == "stopped"


def test_a_threshold_that_ends_launches_ends_moves(two):
    limits = {"total_allocated": 10.0, "prevent_launch_threshold": 0.5}
    two.running("other", project="two")
    two.live(hours=2)
    assert two.put("projects/two", budget=limits).status_code == 200
    refused = failed(two.verb("mine", "move", project="two"), 403, "BUDGET_EXCEEDED")
    assert "admits no more launches" in refused["message"]


def test_it_moves_between_pools_of_one_project(two):
    for name in ("grant", "gift"):
        two.pool(name, 100.0)
        two.allocate(name, "two", 50.0)
    failed(two.verb("mine", "move", project="two"), 422, "VALIDATION_FAILED")
    for name in ("grant", "gift"):
        moved = two.verb("mine", "move", project="two", budget=name).json()
        assert moved["budget"] == name
        two.live(hours=1)
    grant, gift = (two.get(f"budgets/{name}") for name in ("grant", "gift"))
    assert grant["spent_amount"] == gift["spent_amount"] == 0.09
    assert grant["reserved_amount"] == 0.0 < gift["reserved_amount"]
    two.keeps_every_cap()
    for it in two.get("budgets/grant/allocations")["allocations"]:
        assert two.http("DELETE", f"/api/v1/allocations/{it['id']}").status_code == 200


def test_its_machine_is_told_how_long_the_new_money_lasts(two, cloud):
    two.running("free")
    [_, machine] = cloud.survey()
    assert cloud.expiry(machine.id) is None
    assert two.verb("free", "move", project="two").status_code == 200
    two.settle()
    assert cloud.expiry(machine.id) is not None
    assert {it.name for it in two.reservations()} == {"mine", "free"}


def test_a_move_that_makes_no_sense_is_refused(two):
    failed(two.verb("mine", "move", project="none"), 404, "PROJECT_NOT_FOUND")
    failed(two.verb("mine", "move", project="two", budget="none"), 422, "VALIDATION_FAILED")
    failed(two.verb("none", "move", project="two"), 404, "INSTANCE_NOT_FOUND")
    failed(two.verb("mine", "move"), 422, "VALIDATION_FAILED")
    assert two.verb("mine", "move", project="one").status_code == 200
    assert two.events("instance_moved") == [], "it is there already"
    two.verb("mine", "terminate", confirm="DELETE")
    failed(two.verb("mine", "move", project="two"), 409, "INVALID_STATE")
