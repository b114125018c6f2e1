"""A long request ends when its caller loses the right to it."""

import asyncio
from typing import Any

import pytest

from prism.access.model import PermissionDenied
from prism.access.request_lifetime import LongRequest, LongRequests
from prism.kit.database.database_faults import DatabaseBusy
from prism.kit.events import Event

SOON = 120.0  # seconds, on a busy computer
RIGHTS_CHANGES = ("instance_moved", "instance_handed_over", "project_deleted", "resync")


def rights_change(name):
    """An event of that name that names no user."""

    class RightsChange(Event, frozen=True, kw_only=True):
        event = name

    return RightsChange(actor="ada@x.org", subject="shell")


async def end_after(team, name, requests):
    """Serve a long request until it ends, because an event of that name takes the right to it."""
    db, ended, is_lost = team.daemon.db, asyncio.Event(), []

    async def app(scope, receive, send):
        is_lost.append(True)
        with db.write() as tx:
            tx.happened(rights_change(name))
        await ended.wait()

    def judge(scope, caller):
        return PermissionDenied("Not yours any more") if is_lost else None

    caller = team.daemon.tokens.authenticate(team.tokens["member"])
    scope: Any = {"prism_abort": ended.set}
    unused: Any = None
    async with requests.open():
        served = requests.serve(app, LongRequest(scope, caller, judge), unused, unused)
        await asyncio.wait_for(served, SOON)


@pytest.mark.parametrize("name", RIGHTS_CHANGES)
def test_long_request_ends_after_an_event_that_may_change_anyones_rights(team, name):
    """The event is the only change of its commit."""
    daemon = team.daemon
    asyncio.run(
        end_after(
            team, name, LongRequests(daemon.db, daemon.clock, daemon.tokens.with_current_rights)
        )
    )


def test_long_request_ends_after_the_database_did_not_answer(team, monkeypatch):
    daemon, failures = team.daemon, [DatabaseBusy(), DatabaseBusy()]

    def events_after(position):
        if failures:
            raise failures.pop()
        return read(position)

    read = daemon.db.events_after
    monkeypatch.setattr(daemon.db, "events_after", events_after)
    requests = LongRequests(daemon.db, daemon.clock, daemon.tokens.with_current_rights)
    asyncio.run(end_after(team, "project_deleted", requests))
    assert not failures
