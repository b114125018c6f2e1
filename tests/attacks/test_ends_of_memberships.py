"""Memberships of a person in two projects that end, and a volume that was taken along."""

from datetime import timedelta

import pytest

from tests.attacks.test_removed_members import holders, settle, state, take_along, volume
from tests.shapes import failed

__all__ = ["volume"]


def end_after(team, project, hours):
    until = team.daemon.clock.now() + timedelta(hours=hours)
    body = {"until": f"{until:%Y-%m-%dT%H:%M:%SZ}", "at_end": "keep"}
    answer = team("operator", "PUT", f"projects/{project}/members/member@x.org", json=body)
    assert answer.is_success, answer.text


@pytest.mark.parametrize("hours", [{"Reef": 24, "Den": 24}, {"Reef": 24, "Den": 23}])
def test_who_comes_back_to_one_project_has_no_volume_of_the_other(team, volume, hours):
    members = "projects/Den/members"
    boss = {"email": "boss@x.org", "role": "owner"}
    assert team("operator", "POST", members, json=boss).is_success
    take_along(team, volume)
    for project, hour in hours.items():
        end_after(team, project, hour)
    for hour in (23, 1):
        team.daemon.clock.advance(hours=hour)
        settle(team)
    back = {"email": "member@x.org", "role": "member"}
    assert team("operator", "POST", members, json=back).is_success
    settle(team)
    failed(team("member", "GET", "projects/Reef"), 404, "PROJECT_NOT_FOUND")
    assert team("member", "GET", "instances/trap").is_success
    assert (state(team), holders(team)) == ("stopped", [])
    assert team("member", "POST", "instances/trap/start").is_success
    settle(team)
    assert (state(team), holders(team)) == ("running", [])
