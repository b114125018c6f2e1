"""Streams and the audit log tell each reader what she may know."""

import asyncio

from prism.access.visibility import event_filters
from prism.kit.actor import CURRENT
from prism.kit.stream import Batch, _visible


def sight_of(team, name):
    """The sight that a reader with that token gets."""
    caller = team.daemon.tokens.recognised(team.tokens[name])
    before = CURRENT.set(caller)
    try:
        return team.daemon.visibility()
    finally:
        CURRENT.reset(before)


def told(team, sight):
    """What of everything that happened a reader hears, and whether she is sent away."""

    async def batches():
        for fact in team.daemon.db.events_after(0):
            yield Batch([fact])

    async def hear():
        return [fact async for batch in _visible(batches(), sight) for fact in batch.events]

    return asyncio.run(hear())


def test_a_reader_hears_of_her_projects_only(team):
    assert team.launch("member", "reef").status_code == 201
    other = team("owner", "POST", "projects", json={"name": "Other"}).json()["id"]
    assert team.launch("owner", "other", project=other).status_code == 201
    team("operator", "POST", "profiles", json={"name": "lab", "provider": "local"})
    for role, launched in (("viewer", {"reef"}), ("owner", {"reef", "other"}), ("outside", set())):
        heard = told(team, sight_of(team, role))
        assert {f.subject for f in heard if f.event == "instance_asked"} == launched
        assert {f.data["project"] for f in heard if "project" in f.data} <= {team.project, other}
        assert "profile_created" not in {f.event for f in heard}
    assert sight_of(team, "operator") is not None
    assert len(told(team, sight_of(team, "operator"))) == len(team.daemon.db.events_after(0))


def test_whose_rights_change_is_sent_away_and_comes_back_with_others(team):
    viewer, admin = sight_of(team, "viewer"), sight_of(team, "admin")
    path = f"projects/{team.project}/members/viewer@x.org"
    assert team("owner", "DELETE", path).status_code == 200
    last = team.daemon.db.events_after(0)[-1]
    assert last.event == "member_left"
    assert (viewer(last), admin(last)) == (None, True)
    assert sight_of(team, "viewer")(last) is False, "she knows it already"


def test_a_token_that_ends_ends_its_streams(team, clock):
    sight = sight_of(team, "viewer")
    [token] = team("viewer", "GET", "tokens").json()
    assert team("operator", "DELETE", f"tokens/{token['id']}").status_code == 200
    revoked = team.daemon.db.events_after(0)[-1]
    assert (revoked.event, sight(revoked)) == ("token_revoked", None)
    old = sight_of(team, "owner")
    clock.advance(days=91)
    assert old(revoked) is None


def test_in_local_mode_nothing_is_looked_at(daemon):
    assert daemon.visibility() is None
    assert event_filters(lambda: 0, lambda _: None, daemon.clock)() is None
