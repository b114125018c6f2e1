"""A long request ends when its caller loses the right to it, whatever took that right."""

import asyncio
from typing import Any

import pytest

from prism.access.model import PermissionDenied
from prism.access.request_lifetime import LongRequest, LongRequests
from prism.kit.events import Event

SOON = 120.0  # seconds, on a busy computer
ANYBODYS = ("instance_moved", "instance_handed_over", "project_deleted", "resync")


def happening(name):
    """An event of that name, about nobody in particular."""

    class Happening(Event, frozen=True, kw_only=True):
        event = name

    return Happening(actor="ada@x.org", subject="shell")


@pytest.mark.parametrize("name", ANYBODYS)
def test_what_may_change_anybodys_rights_is_enough_alone(team, name):
    """A commit of this one event ends a request that is not allowed any more."""
    wiring, db = team.daemon, team.daemon.db
    caller = wiring.tokens.recognised(team.tokens["member"])
    requests, is_lost = LongRequests(db, wiring.clock, wiring.tokens.renewed), []

    async def last():
        ended = asyncio.Event()

        async def app(scope, receive, send):
            is_lost.append(True)
            with db.write() as tx:
                tx.happened(happening(name))
            await ended.wait()

        def judge(scope, caller):
            return PermissionDenied("Not yours any more") if is_lost else None

        scope: Any = {"prism_abort": ended.set}
        unused: Any = None
        request = LongRequest(scope, caller, judge)
        async with requests.open():
            await asyncio.wait_for(requests.serve(app, request, unused, unused), SOON)

    asyncio.run(last())
