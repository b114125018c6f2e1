"""A long request ends when its caller loses the right to it."""

import asyncio
from typing import Any

import pytest

from prism.access.model import PermissionDenied
from prism.access.request_lifetime import LongRequest, LongRequests
from prism.kit.events import Event

SOON = 120.0  # seconds, on a busy computer
RIGHTS_CHANGES = ("instance_moved", "instance_handed_over", "project_deleted", "resync")


def rights_change(name):
    """An event of that name that names no user."""

    class RightsChange(Event, frozen=True, kw_only=True):
        event = name

    return RightsChange(actor="ada@x.org", subject="shell")


@pytest.mark.parametrize("name", RIGHTS_CHANGES)
def test_long_request_ends_after_an_event_that_may_change_anyones_rights(team, name):
    """The event is the only change of its commit."""
    wiring, db = team.daemon, team.daemon.db
    caller = wiring.tokens.recognised(team.tokens["member"])
    requests, is_lost = LongRequests(db, wiring.clock, wiring.tokens.renewed), []

    async def last():
        ended = asyncio.Event()

        async def app(scope, receive, send):
            is_lost.append(True)
            with db.write() as tx:
                tx.happened(rights_change(name))
            await ended.wait()

        def judge(scope, caller):
            return PermissionDenied("Not yours any more") if is_lost else None

        scope: Any = {"prism_abort": ended.set}
        unused: Any = None
        request = LongRequest(scope, caller, judge)
        async with requests.open():
            await asyncio.wait_for(requests.serve(app, request, unused, unused), SOON)

    asyncio.run(last())
