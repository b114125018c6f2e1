"""What people are told of the ends of memberships, before and at them."""

from datetime import UTC, datetime, timedelta

import pytest

from prism.notices.plan import days_told
from tests.notices.conftest import ok

END = datetime(2026, 3, 1, tzinfo=UTC)


def give_end(team, person="member", **more):
    body = {"until": END.isoformat(), **more}
    return ok(team("operator", "PUT", f"projects/Reef/members/{person}@x.org", json=body))


def membership_notices(inbox, caller):
    return [
        (notice["title"], notice["text"])
        for notice in inbox(caller)[::-1]
        if notice["kind"] == "membership"
    ]


def move_to(clock, **before):
    """Set the clock to a time before the end."""
    clock.time = END - timedelta(**before)


@pytest.mark.parametrize(
    ("before", "days"),
    [
        (timedelta(days=14, seconds=1), None),
        (timedelta(days=14), 14),
        (timedelta(days=3, seconds=1), 14),
        (timedelta(days=3), 3),
        (timedelta(seconds=1), 3),
    ],
)
def test_end_is_told_from_14_and_from_3_days_before(before, days):
    assert days_told(END, END - before) == days


def test_person_and_owners_are_told_in_time_each_once_with_what_helps(team, inbox, clock):
    give_end(team, at_end="hand_over", to="admin@x.org")
    decided = ("Your membership of Reef ends at 2026-03-01 00:00 UTC",)
    assert [title for title, _ in membership_notices(inbox, "member")] == [*decided]
    move_to(clock, days=14, minutes=2)
    assert len(membership_notices(inbox, "member")) == 1
    assert membership_notices(inbox, "owner") == []
    for days in (14, 3):
        move_to(clock, days=days)
        for _ in range(3):
            title, text = membership_notices(inbox, "member")[-1]
            assert title == f"Your membership of Reef ends in {days} days"
            assert "At 2026-03-01 00:00 UTC. admin@x.org gets your workspaces there." in text
            title, text = membership_notices(inbox, "owner")[-1]
            assert title == f"1 membership of Reef ends in {days} days"
            assert "member@x.org. admin@x.org gets member@x.org's workspaces there." in text
            clock.advance(minutes=2)
    [notice] = [row for row in inbox("owner") if "ends in 3 days" in row["title"]]
    assert notice["command"] == "prism member until Reef member@x.org 2026-03-31"
    people = ("member", "owner", "viewer")
    assert [len(membership_notices(inbox, person)) for person in people] == [3, 2, 0]


def test_person_and_owners_are_told_at_the_end_what_was_done(team, inbox, clock):
    give_end(team)
    move_to(clock, days=0)
    team.daemon.settle()
    title, text = membership_notices(inbox, "member")[-1]
    assert title == "Your membership of Reef has ended"
    assert text == (
        "It was until 2026-03-01 00:00 UTC. Your workspaces there stop; nothing is deleted."
    )
    for owner in ("owner", "operator"):
        [(title, _)] = membership_notices(inbox, owner)
        assert title == "Memberships of Reef have ended: they were until 2026-03-01 00:00 UTC"


def test_owners_get_one_notice_for_a_class_that_ends(team, inbox, clock):
    for number in range(12):
        body = {"email": f"s{number:02}@x.org", "until": END.isoformat()}
        ok(team("operator", "POST", "projects/Reef/members", json=body))
    move_to(clock, days=14)
    [(title, text)] = membership_notices(inbox, "owner")
    assert title == "12 memberships of Reef end in 14 days"
    assert "s00@x.org, s01@x.org" in text and "s09@x.org and 2 more." in text
    move_to(clock, days=0)
    team.daemon.settle()
    assert len(membership_notices(inbox, "owner")) == 2


def test_end_that_is_put_off_is_told_again_for_its_new_time(team, inbox, clock):
    give_end(team)
    move_to(clock, days=3)
    assert membership_notices(inbox, "member")[-1][0] == "Your membership of Reef ends in 3 days"
    later = (END + timedelta(days=20)).isoformat()
    ok(team("owner", "PUT", "projects/Reef/members/member@x.org", json={"until": later}))
    title, text = membership_notices(inbox, "member")[-1]
    assert title == "Your membership of Reef ends at 2026-03-21 00:00 UTC"
    assert text.startswith("owner@x.org decided that.")
    ok(team("owner", "PUT", "projects/Reef/members/member@x.org", json={"until": None}))
    assert (
        membership_notices(inbox, "member")[-1][0] == "Your membership of Reef has no end any more"
    )
    clock.time = END + timedelta(days=20)
    team.daemon.settle()
    assert (
        membership_notices(inbox, "member")[-1][0] == "Your membership of Reef has no end any more"
    )


def test_who_has_ended_is_told_nothing_of_the_workspaces_that_stay(team, inbox, clock):
    """No expiry, no failure and no week of a workspace that the person can no longer see."""
    for caller in ("member", "viewer"):
        role = {"role": "member"}
        ok(team("operator", "PUT", f"projects/Reef/members/{caller}@x.org", json=role))
        ok(team.launch(caller, f"of-{caller}", ttl_hours=72))
    team.daemon.settle()
    until = (clock.now() + timedelta(hours=2)).isoformat()
    body = {"until": until, "at_end": "keep"}
    ok(team("owner", "PUT", "projects/Reef/members/member@x.org", json=body))
    clock.advance(hours=3)
    team.daemon.settle()
    before = {person: len(inbox(person)) for person in ("member", "viewer")}
    clock.advance(hours=60)
    inbox("member")
    clock.advance(days=7)
    for _ in range(2):
        team.daemon.settle()
    later = {
        person: {row["kind"] for row in inbox(person)[: len(inbox(person)) - count]}
        for person, count in before.items()
    }
    assert later == {"member": set(), "viewer": {"expiry", "sleep", "weekly"}}
