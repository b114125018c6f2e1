"""Whoever belongs to a project may go; nobody sends others away without the right to."""

import pytest

from tests.access.people import ROLES
from tests.conftest import ML
from tests.shapes import failed


def go(team, who, whom=None):
    return team(who, "DELETE", f"projects/Reef/members/{whom or who}@x.org")


@pytest.mark.parametrize("role", ["viewer", "member", "admin"])
def test_everybody_may_leave(team, role):
    answer = go(team, role, role.upper())
    assert answer.status_code == 200, answer.text
    failed(team(role, "GET", "projects/Reef"), 404, "PROJECT_NOT_FOUND")
    left = team("owner", "GET", "audit?event=member_left").json()
    assert [(it["actor"], it["data"]["email"]) for it in left] == [(f"{role}@x.org",) * 2]


def test_nobody_below_an_owner_sends_somebody_else_away(team):
    for who in ("viewer", "member", "admin"):
        for whom in set(ROLES) - {who}:
            failed(go(team, who, whom), 403, "PERMISSION_DENIED")
    failed(go(team, "outside"), 404, "PROJECT_NOT_FOUND")
    failed(go(team, "outside", "viewer"), 404, "PROJECT_NOT_FOUND")


def test_the_last_owner_stays(team):
    assert go(team, "operator", "ada").status_code == 200
    failed(go(team, "owner"), 409, "LAST_OWNER")


def test_a_token_that_only_looks_does_not_leave(team):
    team.token("eyes", user="member@x.org", scope="read")
    failed(go(team, "eyes", "member"), 403, "PERMISSION_DENIED")


def test_who_has_left_hears_no_news_by_asking_again(team):
    """An answer to the same `Idempotency-Key` is repeated as it was."""
    order = {"name": "mine", "template": ML, "project": "Reef"}

    def launch():
        key = {"Idempotency-Key": "k"}
        return team("member", "POST", "instances/launch?wait=0", key, json=order)

    assert launch().json()["state"] == "launching"
    team.house.settle()
    assert launch().json()["state"] == "running"
    assert go(team, "member").status_code == 200
    again = launch()
    assert (again.status_code, again.json()["state"]) == (201, "launching")
