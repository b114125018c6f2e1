"""Streams contain the events that their reader may see."""

import asyncio

from prism.access.visibility import event_filters
from prism.kit.actor import CURRENT_ACTOR
from prism.kit.event_ids import PLAIN_IDS
from prism.kit.stream import Batch, _visible


def event_filter_of(team, name):
    """The event filter for a reader with that token."""
    caller = team.daemon.tokens.authenticate(team.tokens[name])
    before = CURRENT_ACTOR.set(caller)
    try:
        return team.daemon.visibility()
    finally:
        CURRENT_ACTOR.reset(before)


def visible_events(team, event_filter):
    """All past events that the filter lets through."""

    async def batches():
        for fact in team.daemon.db.events_after(0):
            yield Batch([fact])

    async def collect():
        return [
            fact
            async for batch in _visible(batches(), event_filter, PLAIN_IDS)
            for fact in batch.events
        ]

    return asyncio.run(collect())


def test_stream_contains_events_of_the_readers_projects_only(team):
    assert team.launch("member", "reef").status_code == 201
    other = team("owner", "POST", "projects", json={"name": "Other"}).json()["id"]
    assert team.launch("owner", "other", project=other).status_code == 201
    team("operator", "POST", "profiles", json={"name": "lab", "provider": "local"})
    for role, launched in (("viewer", {"reef"}), ("owner", {"reef", "other"}), ("outside", set())):
        visible = visible_events(team, event_filter_of(team, role))
        assert {f.subject for f in visible if f.event == "instance_asked"} == launched
        assert {f.data["project"] for f in visible if "project" in f.data} <= {team.project, other}
        assert "profile_created" not in {f.event for f in visible}
    assert event_filter_of(team, "operator") is not None
    assert len(visible_events(team, event_filter_of(team, "operator"))) == len(
        team.daemon.db.events_after(0)
    )


def test_stream_ends_when_the_rights_of_its_reader_change(team):
    viewer, admin = event_filter_of(team, "viewer"), event_filter_of(team, "admin")
    path = f"projects/{team.project}/members/viewer@x.org"
    assert team("owner", "DELETE", path).status_code == 200
    last = team.daemon.db.events_after(0)[-1]
    assert last.event == "member_left"
    assert (viewer(last), admin(last)) == (None, True)
    assert event_filter_of(team, "viewer")(last) is False, (
        "a stream opened after the change stays open"
    )


def test_stream_ends_when_its_token_is_revoked_or_expires(team, clock):
    event_filter = event_filter_of(team, "viewer")
    [token] = team("viewer", "GET", "tokens").json()
    assert team("operator", "DELETE", f"tokens/{token['id']}").status_code == 200
    revoked = team.daemon.db.events_after(0)[-1]
    assert (revoked.event, event_filter(revoked)) == ("token_revoked", None)
    old = event_filter_of(team, "owner")
    clock.advance(days=91)
    assert old(revoked) is None


def test_streams_are_unfiltered_in_local_mode(daemon):
    assert daemon.visibility() is None
    assert event_filters(lambda: 0, lambda _: None, daemon.clock)() is None


def test_stream_says_nothing_about_events_of_others(team):
    async def pieces():
        yield Batch([fact for fact in team.daemon.db.events_after(0) if fact.event != "resync"])
        yield Batch([])

    async def collect(event_filter):
        return [batch.sse async for batch in _visible(pieces(), event_filter, PLAIN_IDS)]

    assert team("operator", "POST", "projects", json={"name": "Other"}).status_code == 201
    assert asyncio.run(collect(lambda _: False)) == [b":\n\n"], "the keepalive only"
