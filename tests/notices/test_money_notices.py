"""What people are told of money, from real budgets, limits and charges."""

import pytest

from tests.notices.conftest import kinds, ok

pytestmark = pytest.mark.parametrize("team", [{"local_prices": "aws"}], indirect=True)
XL = {"size": "XL"}  # 0.33 dollars an hour


def budget(team, amount):
    body = {"budget": {"total_allocated": amount}}
    ok(team("operator", "PUT", f"projects/{team.project}", json=body))


def titles(listed, kind):
    return [notice["title"] for notice in listed if notice["kind"] == kind]


def pass_time(team, clock, hours):
    for _ in range(hours * 4):
        clock.advance(minutes=15)
        team.daemon.settle()


def test_owner_is_told_once_that_the_money_runs_out_within_a_week(team, inbox, clock):
    budget(team, 30.0)
    ok(team.launch("member", "mine", **XL))
    team.daemon.settle()
    clock.advance(hours=1, minutes=1)
    [title] = titles(inbox("owner"), "runs_out")
    assert title.startswith("The money of Reef runs out on 20")
    pass_time(team, clock, 3)
    assert titles(inbox("owner"), "runs_out") == [title]
    assert "runs_out" not in kinds(inbox("member"))


def test_money_that_lasts_longer_is_not_told(team, inbox, clock):
    budget(team, 3000.0)
    ok(team.launch("member", "mine", **XL))
    team.daemon.settle()
    clock.advance(hours=1, minutes=1)
    assert inbox("owner") == []


def test_thresholds_of_a_budget_are_told_to_its_owner_each_once(team, inbox, clock):
    ok(team("owner", "PUT", "notices/settings", json={"thresholds": [30]}))
    budget(team, 8.0)
    ok(team.launch("member", "mine", **XL))
    team.daemon.settle()
    for _ in range(22):
        pass_time(team, clock, 1)
        inbox("owner")  # collects
    budget_titles = titles(inbox("owner"), "budget")
    assert budget_titles[::-1] == [
        f"{part} % of the budget of Reef is spent" for part in (30, 50, 80)
    ]
    assert "budget" not in kinds(inbox("member"))


def test_person_is_told_of_her_own_limit(team, inbox, clock):
    ok(team("operator", "PUT", "limits", json={"person": "member@x.org", "monthly": 4.0}))
    ok(team.launch("member", "mine", **XL))
    team.daemon.settle()
    for _ in range(8):
        pass_time(team, clock, 1)
        inbox("member")  # collects
    limit_titles = titles(inbox("member"), "limit")
    assert limit_titles == ["50 % of your limit of this month is spent"]
    assert "limit" not in kinds(inbox("owner"))
