"""A workspace moves to another project: that pays from this second on, or the move is refused."""

import pytest

from prism.costs.model import CostKind
from tests.months import january, january_up
from tests.shapes import failed

RATE, DISK = 83_200, 1_600_000
NEEDED = -(-RATE * 70 // 60) + DISK


@pytest.fixture
def two_projects(clocked_daemon):
    """Two projects with caps, and one workspace that has run for an hour for the first."""
    clocked_daemon.one = clocked_daemon.project("one", 5.0)["id"]
    clocked_daemon.two = clocked_daemon.project("two", 5.0)["id"]
    clocked_daemon.running("mine", project="one")
    clocked_daemon.live(hours=1)
    return clocked_daemon


def reserved(clocked_daemon):
    return {cap.title: held for cap, _, held in clocked_daemon.balances()}


def test_move_closes_the_segment_and_opens_another_for_the_new_project(two_projects):
    moved = two_projects.verb("mine", "move", project="two").json()
    assert (moved["previous_project"], moved["project"], moved["budget"]) == ("one", "two", None)
    two_projects.live(hours=2, step=15)
    for kind in (CostKind.COMPUTE, CostKind.ROOT):
        first, second = (segment for segment in two_projects.segments() if segment.kind is kind)
        assert (first.project, second.project) == (two_projects.one, two_projects.two)
        assert first.ended == second.began == first.began + 3600
    assert two_projects.recount(project=two_projects.one) == RATE + january(DISK, 0, 1)
    assert two_projects.recount(project=two_projects.two) == 2 * RATE + january(DISK, 1, 3)
    assert two_projects.get("projects/one")["budget"]["current_spend"] == 0.09
    assert two_projects.get("instances/mine")["tags"]["Project"] == "two"
    [event] = two_projects.events("instance_moved")
    assert (event.data["previous_project"], event.data["project"]) == (
        two_projects.one,
        two_projects.two,
    )
    two_projects.check_caps()


def test_move_releases_the_old_and_makes_a_new_reservation(two_projects):
    assert two_projects.verb("mine", "move", project="two").status_code == 200
    held = reserved(two_projects)
    assert held["one"] == 0
    assert NEEDED - RATE <= held["two"] <= NEEDED
    failed(two_projects.http("DELETE", "/api/v1/projects/two"), 409, "IN_USE")
    assert two_projects.http("DELETE", "/api/v1/projects/one").status_code == 200


def test_move_to_a_project_without_money_is_refused_without_effect(two_projects):
    before = reserved(two_projects)
    assert two_projects.put("projects/two", budget={"total_allocated": 1.0}).status_code == 200
    failed(two_projects.verb("mine", "move", project="two"), 403, "BUDGET_EXCEEDED")
    assert reserved(two_projects) == before
    assert two_projects.get("instances/mine")["tags"]["Project"] == "one"
    assert two_projects.events("instance_moved") == []
    two_projects.live(hours=1, step=15)
    assert two_projects.recount(project=two_projects.one) == two_projects.recount()


def test_move_of_a_stopped_workspace_reserves_only_its_disk(two_projects):
    two_projects.verb("mine", "stop")
    two_projects.settle()
    assert two_projects.put("projects/two", budget={"total_allocated": 1.62}).status_code == 200
    assert two_projects.verb("mine", "move", project="two").status_code == 200
    assert reserved(two_projects) == {"one": 0, "two": january_up(DISK, 1, 721)}
    failed(two_projects.verb("mine", "start"), 403, "BUDGET_EXCEEDED")
    two_projects.live(hours=3)
    assert reserved(two_projects)["two"] >= january_up(DISK, 4, 721)
    assert two_projects.state() == "stopped"


def test_move_is_refused_beyond_the_launch_threshold(two_projects):
    limits = {"total_allocated": 10.0, "prevent_launch_threshold": 0.5}
    two_projects.running("other", project="two")
    two_projects.live(hours=2, step=15)
    assert two_projects.put("projects/two", budget=limits).status_code == 200
    refused = failed(two_projects.verb("mine", "move", project="two"), 403, "BUDGET_EXCEEDED")
    assert "admits no more launches" in refused["message"]


def test_move_between_pools_of_one_project_splits_the_spending(two_projects):
    for name in ("grant", "gift"):
        two_projects.pool(name, 100.0)
        two_projects.allocate(name, "two", 50.0)
    failed(two_projects.verb("mine", "move", project="two"), 422, "VALIDATION_FAILED")
    for name in ("grant", "gift"):
        moved = two_projects.verb("mine", "move", project="two", budget=name).json()
        assert moved["budget"] == name
        two_projects.live(hours=1, step=15)
    grant, gift = (two_projects.get(f"budgets/{name}") for name in ("grant", "gift"))
    assert grant["spent_amount"] == gift["spent_amount"] == 0.09
    assert grant["reserved_amount"] == 0.0 < gift["reserved_amount"]
    two_projects.check_caps()
    for allocation in two_projects.get("budgets/grant/allocations")["allocations"]:
        assert (
            two_projects.http("DELETE", f"/api/v1/allocations/{allocation['id']}").status_code
            == 200
        )


def test_move_into_a_capped_project_gives_the_machine_an_expiry(two_projects, cloud):
    two_projects.running("free")
    [_, machine] = cloud.survey()
    assert cloud.expiry(machine.id) is None
    assert two_projects.verb("free", "move", project="two").status_code == 200
    two_projects.settle()
    assert cloud.expiry(machine.id) is not None
    assert {reservation.name for reservation in two_projects.reservations()} == {"mine", "free"}


def test_invalid_move_is_rejected_and_move_to_the_same_project_is_ignored(two_projects):
    failed(two_projects.verb("mine", "move", project="none"), 404, "PROJECT_NOT_FOUND")
    failed(
        two_projects.verb("mine", "move", project="two", budget="none"), 422, "VALIDATION_FAILED"
    )
    failed(two_projects.verb("none", "move", project="two"), 404, "INSTANCE_NOT_FOUND")
    failed(two_projects.verb("mine", "move"), 422, "VALIDATION_FAILED")
    assert two_projects.verb("mine", "move", project="one").status_code == 200
    assert two_projects.events("instance_moved") == [], (
        "the workspace already belongs to that project"
    )
    two_projects.verb("mine", "terminate", confirm="DELETE")
    failed(two_projects.verb("mine", "move", project="two"), 409, "INVALID_STATE")
