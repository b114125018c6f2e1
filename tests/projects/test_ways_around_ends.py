"""Ways to outlast the end of a membership: none of them does."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from prism.access.model import Role
from prism.sessions.groups import GroupRoles, GroupRule
from tests.projects.test_ends import END, START, accept, end_of, let_end, set_end, stamp, team
from tests.shapes import failed

__all__ = ["team"]
STUDENT = "projects/Reef/members/student@x.org"


def log_in(team, *groups, issuer="one"):
    """A login at an identity provider, which knows the groups of the person."""
    parts = team.daemon
    roles = GroupRoles(issuer, [GroupRule("g", "Reef", Role.MEMBER)], parts.members)
    with parts.db.write() as tx:
        roles.follow(tx, "student@x.org", groups)


def is_away(team):
    failed(team("operator", "GET", STUDENT), 404, "MEMBER_NOT_FOUND")


def test_who_has_an_end_does_not_send_an_endless_invitation_again(team):
    sent = team.invite("owner", email="new@x.org").json()
    assert set_end(team, "admin").status_code == 200
    team.daemon.clock.advance(days=8)  # it has expired: only that would make it open again
    path = f"invitations/{sent['id']}/resend"
    failed(team("admin", "POST", path), 403, "PERMISSION_DENIED")
    assert team("owner", "POST", path).status_code == 200


def test_open_invitations_of_who_gets_an_end_do_not_outlast_it(team):
    sent = team.invite("admin", email="new@x.org", role="admin").json()
    end = START + timedelta(days=3)
    assert set_end(team, "admin", until=end).status_code == 200
    assert accept(team, sent["id"]).status_code == 200
    assert end_of(team, "new") == (stamp(end), "stop", None)


def test_owner_with_an_end_makes_no_lasting_owner(team):
    assert set_end(team, "owner", "operator").status_code == 200
    viewer = "projects/Reef/members/viewer@x.org"
    failed(team("owner", "PUT", viewer, json={"role": "owner"}), 403, "PERMISSION_DENIED")
    short = {"role": "owner", "until": stamp(END)}
    assert team("owner", "PUT", viewer, json=short).status_code == 200
    failed(set_end(team, "viewer", until=None), 403, "PERMISSION_DENIED")


def test_group_of_a_second_provider_does_not_bring_back_who_has_ended(team):
    log_in(team, "g")
    assert set_end(team, "student").status_code == 200
    let_end(team)
    for issuer in ("one", "two"):
        log_in(team, "g", issuer=issuer)
        is_away(team)
    back = {"email": "student@x.org", "role": "viewer"}
    assert team("owner", "POST", "projects/Reef/members", json=back).status_code == 201
    log_in(team, "g", issuer="two")
    assert team("operator", "GET", STUDENT).json()["role"] == "viewer", "given by hand"


def test_leaving_and_joining_a_group_does_not_remove_an_end(team):
    log_in(team, "g")
    assert set_end(team, "student").status_code == 200
    log_in(team)
    log_in(team, "g")
    assert end_of(team, "student")[0] == stamp(END)
    let_end(team)
    is_away(team)


def test_leaving_and_joining_a_group_after_the_end_does_not_bring_back(team):
    log_in(team, "g")
    assert set_end(team, "student").status_code == 200
    let_end(team)
    for groups in ("g", "", "g"):
        log_in(team, *groups)
        is_away(team)


def test_login_between_the_end_and_the_loop_does_not_bring_back(team):
    log_in(team, "g")
    assert set_end(team, "student").status_code == 200
    team.daemon.clock.advance(days=30)
    log_in(team)
    log_in(team, "g")
    team.daemon.settle()
    is_away(team)
    log_in(team)
    log_in(team, "g")
    is_away(team)


@pytest.mark.parametrize("path", ["instances", "notices", "cost", "limits"])
def test_ended_who_still_owns_a_workspace_reads_nothing_of_it(team, path):
    assert team.launch("member", "mine").status_code == 201
    team.daemon.settle()
    set_end(team, at_end="keep")
    let_end(team)
    team.daemon.settle()
    assert "mine" not in team("member", "GET", path).text


def test_two_owners_who_end_each_other_at_once_leave_one_without_an_end(team):
    admin = "projects/Reef/members/admin@x.org"
    assert team("operator", "PUT", admin, json={"role": "owner"}).is_success
    assert set_end(team, "ada", "owner").is_success
    with ThreadPoolExecutor(2) as both:
        answers = [
            both.submit(set_end, team, person, caller)
            for person, caller in (("owner", "admin"), ("admin", "owner"))
        ]
        codes = sorted(answer.result().status_code for answer in answers)
    assert codes[0] == 200 and codes[1] >= 400
    rows = team("operator", "GET", "projects/Reef/members").json()
    assert [row for row in rows if row["role"] == "owner" and row["until"] is None]
