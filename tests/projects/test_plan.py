"""Ends of memberships: what may be given, and what happens then."""

from datetime import UTC, datetime, timedelta

import pytest

from prism.access.model import Role
from prism.errors import ValidationFailed
from prism.projects.model import Leftover, Member, MemberChange, NewMembership
from prism.projects.plan import MAX_MEMBERSHIP, handled_at_end, membership_until

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
LATER, SOONER = NOW + timedelta(days=30), NOW + timedelta(days=3)
FOREVER = Member("bob@x.org", Role.MEMBER, NOW)
LIMITED = Member("bob@x.org", Role.MEMBER, NOW, LATER, Leftover.HAND_OVER, "ada@x.org")


def end_of(member):
    return member.until, member.at_end, member.to


@pytest.mark.parametrize(
    ("before", "change", "end"),
    [
        (FOREVER, MemberChange(until=LATER), (LATER, Leftover.STOP, None)),
        (FOREVER, MemberChange(until=LATER, at_end=Leftover.KEEP), (LATER, Leftover.KEEP, None)),
        (FOREVER, NewMembership("bob@x.org", until=LATER), (LATER, Leftover.STOP, None)),
        (FOREVER, NewMembership("bob@x.org"), (None, None, None)),
        (LIMITED, MemberChange(until=SOONER), (SOONER, Leftover.HAND_OVER, "ada@x.org")),
        (LIMITED, MemberChange(at_end=Leftover.STOP), (LATER, Leftover.STOP, None)),
        (LIMITED, MemberChange(to="eve@x.org"), (LATER, Leftover.HAND_OVER, "eve@x.org")),
        (LIMITED, MemberChange(until=None), (None, None, None)),
    ],
)
def test_end_that_is_given_replaces_what_was_decided_before_and_nothing_else(before, change, end):
    assert end_of(membership_until(before, change, NOW)) == end


@pytest.mark.parametrize(
    ("before", "change", "field"),
    [
        (FOREVER, MemberChange(until=NOW), "until"),
        (FOREVER, MemberChange(until=NOW - timedelta(days=1)), "until"),
        (FOREVER, MemberChange(until=NOW + MAX_MEMBERSHIP + timedelta(seconds=1)), "until"),
        (FOREVER, MemberChange(at_end=Leftover.STOP), "at_end"),
        (FOREVER, NewMembership("bob@x.org", to="ada@x.org"), "at_end"),
        (LIMITED, MemberChange(until=None, at_end=Leftover.STOP), "at_end"),
        (LIMITED, MemberChange(at_end=Leftover.KEEP, to="ada@x.org"), "to"),
    ],
)
def test_end_that_makes_no_sense_is_refused_by_its_field(before, change, field):
    with pytest.raises(ValidationFailed) as refused:
        membership_until(before, change, NOW)
    assert [each["field"] for each in (refused.value.data or {})["fields"]] == [field]


def test_membership_is_over_at_its_instant_and_not_before():
    assert not LIMITED.is_over(LATER - timedelta(microseconds=1))
    assert LIMITED.is_over(LATER)
    assert not FOREVER.is_over(LATER)


@pytest.mark.parametrize(
    ("at_end", "heir_may", "handled"),
    [
        (Leftover.HAND_OVER, True, Leftover.HAND_OVER),
        (Leftover.HAND_OVER, False, Leftover.STOP),
        (Leftover.KEEP, False, Leftover.KEEP),
        (Leftover.STOP, True, Leftover.STOP),
    ],
)
def test_workspaces_stop_if_nobody_can_take_them_over(at_end, heir_may, handled):
    member = Member("bob@x.org", Role.MEMBER, NOW, LATER, at_end, "ada@x.org")
    assert handled_at_end(member, heir_may=heir_may) is handled
