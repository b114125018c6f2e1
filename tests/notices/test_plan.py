"""When mails are sent, and which thresholds are told: pure functions."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from prism.kit.events import RecordedEvent
from prism.notices.model import Channels, NoticeKind, Preferences
from prism.notices.plan import (
    BETWEEN_MAILS,
    MAX_COLLECTING,
    NOTICE_KINDS,
    QUIET_BEFORE_MAIL,
    RETRY_SECONDS,
    WeekLine,
    channels_of,
    digest_at,
    draft_of,
    reached,
    retry_in,
    week_of,
    weekly,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ARRIVALS = st.lists(st.integers(0, 7200), min_size=1, max_size=60).map(sorted)


def mails_of(arrivals):
    """The mails, as (when sent, notices in it), that notices at these seconds become."""
    left, mails, sent_at = [BEGIN + timedelta(seconds=at) for at in arrivals], [], None
    while left:
        due = None
        waiting = []
        for at in left:  # as they arrive, each may delay the mail
            if due is not None and at > due:
                break
            waiting.append(at)
            due = digest_at(waiting, sent_at)
        mails.append((due, waiting))
        sent_at, left = due, left[len(waiting) :]
    return mails


@given(ARRIVALS)
def test_every_notice_is_in_one_mail_and_waits_no_longer_than_said(arrivals):
    mails = mails_of(arrivals)
    assert sum(len(waiting) for _, waiting in mails) == len(arrivals)
    for sent, waiting in mails:
        for at in waiting:
            assert at <= sent <= at + MAX_COLLECTING + BETWEEN_MAILS


@given(ARRIVALS)
def test_mails_have_a_distance(arrivals):
    sent = [at for at, _ in mails_of(arrivals)]
    assert all(later - earlier >= BETWEEN_MAILS for earlier, later in pairwise(sent))


@given(
    st.lists(st.integers(0, int(QUIET_BEFORE_MAIL.total_seconds())), min_size=2, max_size=200).map(
        sorted
    )
)
def test_burst_is_one_mail(arrivals):
    assert len(mails_of(arrivals)) == 1


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.sets(st.integers(1, 100), max_size=6))
def test_highest_threshold_that_is_spent_is_told(spent, amount, own):
    part = reached(spent, amount, own)
    spent_parts = {each for each in own if spent and spent / amount * 100 >= each - 1e-9}
    assert part == max(spent_parts, default=None)


def test_retries_are_ever_rarer():
    delays = [retry_in(failures) for failures in range(1, 20)]
    assert delays == sorted(delays)
    assert delays[-1] == timedelta(seconds=RETRY_SECONDS[-1])


def test_every_kind_has_a_title_and_usual_channels():
    assert {*NOTICE_KINDS} == {*NoticeKind}
    for kind in NoticeKind:
        assert channels_of(Preferences(), kind) == Channels()
    own = Preferences(kinds={"sleep": Channels(mail=False, webhook=True)})
    assert channels_of(own, NoticeKind.SLEEP) == Channels(mail=False, webhook=True)


def event(name, actor="prism", **data):
    return RecordedEvent(7, name, BEGIN, actor, "mine", data)


def test_what_prism_puts_to_sleep_is_told_and_what_a_person_does_is_not():
    request = {"workspace": "w", "project": "p", "verb": "hibernate", "reason": "the cap is spent"}
    draft = draft_of(event("instance_asked", **request))
    assert draft is not None
    assert (draft.kind, draft.title, draft.text) == (
        NoticeKind.SLEEP,
        "mine is hibernated by Prism",
        "The cap is spent.",
    )
    assert draft_of(event("instance_asked", actor="ada@x.org", **request)) is None
    assert draft_of(event("instance_asked", **{**request, "verb": "start"})) is None


def test_texts_of_others_become_single_lines():
    left = RecordedEvent(
        7, "member_left", BEGIN, "e\nve\x1b[31m", "Re\r\nef", {"email": "z@x.org"}
    )
    draft = draft_of(left)
    assert draft is not None
    assert (draft.title + draft.text).isprintable()


def test_week_has_all_workspaces_and_unknown_prices_are_unknown():
    lines = [WeekLine("a", 3600, 7200, 1_500_000, 500_000), WeekLine("b", 60, 0, None, 0)]
    draft = weekly("ada@x.org", "2026-W01", lines)
    assert draft.title == "Week 2026-W01: ran 1.0 h, slept 2.0 h, computing unknown, saved $0.50"
    assert draft.text.splitlines()[0] == "a: ran 1.0 h, slept 2.0 h, computing $1.50, saved $0.50"
    assert week_of(BEGIN) == "2026-W01"
