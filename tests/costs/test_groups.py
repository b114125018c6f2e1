"""What a period cost, by project, user, template, budget and machine type."""

from collections import Counter
from itertools import product

import pytest

from prism.costs import store
from prism.costs.groups import MOST_BARS
from prism.costs.model import CostKind
from prism.costs.plan import remainder
from tests.money import ClockedDaemon, cost_by
from tests.shapes import failed

PERIOD = "start_date=2025-12-31&end_date=2026-01-04"
FIELDS = {"project": "project", "user": "owner", "template": "template"}


@pytest.fixture
def two_projects(clocked_daemon, make_daemon, clock):
    """Two projects, a workspace without one, two users, two templates, a volume."""
    clocked_daemon.project("Reef")
    clocked_daemon.project("Kelp")
    clocked_daemon.running("a", project="Reef")
    clocked_daemon.running("b", project="Kelp", template="Plain Shell")
    clocked_daemon.running("c")
    clocked_daemon.made("storage/volumes/create", name="data", type="ebs", size_gb=100)
    clocked_daemon.settle(hours=30)
    clocked_daemon.verb("b", "hibernate")
    clocked_daemon.settle(hours=20)
    bob = ClockedDaemon(make_daemon(local_prices="aws", user="bob@example.org"), clock)
    bob.running("d", project="Reef")
    clocked_daemon.settle(hours=7)
    clocked_daemon.verb("a", "terminate")
    clocked_daemon.settle(hours=1)
    return clocked_daemon


@pytest.mark.postgres
def test_group_costs_equal_their_segments_to_the_micro_dollar(two_projects):
    for by, granularity in product(FIELDS, ("daily", "weekly", "monthly")):
        history = two_projects.get(
            f"costs/history?{PERIOD}&group_by={by}&granularity={granularity}"
        )
        groups = history["groups"]
        names = (
            {project["id"]: project["name"] for project in two_projects.get("projects")}
            if by == "project"
            else {}
        )
        keys = {getattr(segment, FIELDS[by]) for segment in two_projects.segments()}
        expected = {
            names.get(key, key): two_projects.recount(0, two_projects.now, **{FIELDS[by]: key})
            for key in keys
        }
        assert {group["name"]: group["micros"] for group in groups} == expected
        assert len(groups) > 1
        assert [group["micros"] for group in groups] == sorted(expected.values(), reverse=True)
        check_sums(history)


def test_budget_groups_have_the_names_of_pools_also_of_deleted_ones(clocked_daemon):
    clocked_daemon.project("Reef")
    pool = clocked_daemon.pool("grant", 50.0)
    part = clocked_daemon.allocate("grant", "Reef", 50.0)
    clocked_daemon.running("a", project="Reef")
    clocked_daemon.running("b")
    clocked_daemon.settle(hours=3)
    for name in ("a", "b"):
        assert clocked_daemon.verb(name, "terminate", confirm="DELETE").status_code == 200
    clocked_daemon.settle()
    expected = {
        "grant": clocked_daemon.recount(pool=pool["id"]),
        None: clocked_daemon.recount(pool=None),
    }
    assert all(expected.values())
    for path in (None, f"allocations/{part['id']}", f"budgets/{pool['id']}"):
        if path is not None:
            assert clocked_daemon.http("DELETE", f"/api/v1/{path}").status_code == 200
        history = clocked_daemon.get(f"costs/history?{PERIOD}&group_by=budget")
        assert {group["name"]: group["micros"] for group in history["groups"]} == expected
        check_sums(history)


@pytest.mark.postgres
def test_type_groups_are_compute_and_disks_and_addresses_have_no_type(two_projects):
    history = two_projects.get(f"costs/history?{PERIOD}&group_by=type")
    expected = Counter[str | None]()
    for segment in two_projects.segments():
        runs = segment.kind in {CostKind.COMPUTE, CostKind.ASLEEP}
        paid = cost_by(segment, two_projects.now) * (segment.kind is not CostKind.ASLEEP)
        expected[segment.detail if runs else None] += paid
    assert {group["name"]: group["micros"] for group in history["groups"]} == expected
    assert len(expected) > 1
    check_sums(history)


def test_rest_of_the_least_charge_is_of_the_type_of_the_run(clocked_daemon):
    """EC2 charges a minute for each start, which is booked when a shorter run ends."""
    clocked_daemon.running("a")
    [run] = [row for row in clocked_daemon.segments() if row.kind is CostKind.COMPUTE]
    with clocked_daemon.daemon.db.write() as tx:
        of, kind, charge = remainder(run, 60)
        store.begin(
            tx,
            of,
            kind,
            charge,
            run.began,
            counted=run.began + 60,
            reconstructed=False,
            is_minimum=True,
        )
    clocked_daemon.settle(hours=1)
    groups = clocked_daemon.get(f"costs/history?{PERIOD}&group_by=type")["groups"]
    assert {group["name"] for group in groups} == {run.detail, None}
    assert {group["name"]: group["instances"] for group in groups}[run.detail] == 1


def check_sums(history):
    groups, bars = history["groups"], history["daily_costs"]
    assert sum(group["micros"] for group in groups) == history["micros"]
    assert round(sum(group["cost"] for group in groups), 2) == history["total_cost"]
    assert sum(group["percentage"] for group in groups) == pytest.approx(100, abs=0.3)
    for group in groups:
        assert len(group["costs"]) == len(bars)
        assert sum(group["costs"]) == pytest.approx(group["micros"] / 1e6, abs=0.0051)
    for bar, whole in enumerate(bars):
        parts = sum(group["costs"][bar] for group in groups)
        assert parts == pytest.approx(whole["cost"], abs=0.0101 * len(groups))
    saved = sum(bar["hibernation_savings"] for bar in bars)
    assert saved > 0
    assert sum(group["hibernation_savings"] for group in groups) == pytest.approx(saved)


def test_groups_count_workspaces_and_include_costs_without_a_group(two_projects):
    by_template = two_projects.get(f"costs/history?{PERIOD}&group_by=template")["groups"]
    counts = {group["name"]: group["instances"] for group in by_template}
    assert counts[None] == 0  # a volume has no template and is no workspace
    assert sum(counts.values()) == 4
    assert counts["Plain Shell"] == 1
    by_user = two_projects.get(f"costs/history?{PERIOD}&group_by=user")["groups"]
    assert {group["name"]: group["instances"] for group in by_user}["bob@example.org"] == 1


def test_groups_of_one_project_exclude_other_projects(two_projects):
    history = two_projects.get(f"costs/history?{PERIOD}&group_by=user&project=Reef")
    assert len(history["groups"]) == 2
    assert sum(group["micros"] for group in history["groups"]) == history["micros"]
    by_project = two_projects.get(f"costs/history?{PERIOD}&group_by=project&project=Reef")
    assert [group["name"] for group in by_project["groups"]] == ["Reef"]


def test_history_without_group_by_has_no_groups(two_projects):
    history = two_projects.get(f"costs/history?{PERIOD}")
    assert (history["group_by"], history["groups"]) == (None, [])
    later = two_projects.get(
        "costs/history?start_date=2031-01-01&end_date=2031-01-05&group_by=user"
    )
    assert (later["group_by"], later["groups"]) == ("user", [])


def test_unknown_group_by_or_too_many_bars_are_rejected(clocked_daemon):
    failed(
        clocked_daemon.http("GET", "/api/v1/costs/history?group_by=region"),
        422,
        "VALIDATION_FAILED",
    )
    long = "start_date=2020-01-01&end_date=2026-01-01&group_by=user"
    error = failed(
        clocked_daemon.http("GET", f"/api/v1/costs/history?{long}"), 422, "VALIDATION_FAILED"
    )
    assert str(MOST_BARS) in str(error)
    assert clocked_daemon.get(f"costs/history?{long}&granularity=monthly")["groups"] == []
