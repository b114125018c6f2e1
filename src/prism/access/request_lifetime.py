"""Ends long requests whose caller has lost the right to them.

A terminal, a followed log and a proxied connection are checked when they begin, and may
last for days. They are checked again when a token or a session ends, a membership changes, or
a workspace moves to another project. Event streams are not here: they check each event
(`visibility.py`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from prism.access.model import NEW_TOKEN, Caller
from prism.access.service import expired
from prism.access.visibility import MEMBERSHIP, changes_rights
from prism.errors import Problem
from prism.kit.clock import Clock
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.db import Database
from prism.kit.envelope import Unauthenticated
from prism.kit.events import RESYNC, RecordedEvent
from prism.kit.http import refuse
from prism.kit.journal import EVENTS_AT_ONCE

log = logging.getLogger(__name__)
LASTS = "lasts"  # the `opt` of a route whose answers may last
POLL = 1.0  # seconds between two looks at the clock, and at what another daemon committed
# Events that may change anybody's rights.
CHANGES_ANY_RIGHTS = {
    *("instance_moved", "instance_handed_over", "project_deleted", "share_ended"),
    RESYNC,
}
RightsCheck = Callable[[Scope, Caller], Problem | None]


class LongRequest:
    """A request that may last long, and how to check and end it."""

    def __init__(self, scope: Scope, caller: Caller, check: RightsCheck) -> None:
        self.scope, self.caller, self.check = scope, caller, check
        self.by_share = False  # then it depends on the rights of who shares, too

    def end(self) -> None:
        """Cut the connection; its handler sees that the client has disconnected."""
        if abort := self.scope.get("prism_abort"):
            abort()  # type: ignore[operator]


class LongRequests:
    """All long requests; `current_rights` gives a caller's rights now, or None without any."""

    def __init__(
        self, db: Database, clock: Clock, current_rights: Callable[[Caller], Caller | None]
    ) -> None:
        self._db, self._clock, self._current_rights = db, clock, current_rights
        self._requests: set[LongRequest] = set()
        self._due: set[LongRequest] = set()
        self._position = 0
        self._thread: ThreadPoolExecutor | None = None

    async def serve(
        self, app: ASGIApp, request: LongRequest, receive: Receive, send: Send
    ) -> None:
        """Serve a request as long as its caller may have it, or refuse it.

        It is registered before the rights are read, so that no change of rights is missed.
        """
        self._requests.add(request)
        try:
            if problem := await asyncio.to_thread(self._refusal, request):
                return await refuse(request.scope, send, problem, self._clock.now())
            return await app(request.scope, receive, send)
        finally:
            self._requests.discard(request)
            self._due.discard(request)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Check the requests while the daemon serves."""
        self._position = await asyncio.to_thread(self._db.newest_event)
        self._thread = ThreadPoolExecutor(1, "lasting")  # so that it never waits for handlers
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            self._thread.shutdown()

    async def _watch(self) -> None:
        woken, loop = asyncio.Event(), asyncio.get_running_loop()

        def on_event() -> None:
            with suppress(RuntimeError):  # the loop is closed, and everything with it
                loop.call_soon_threadsafe(woken.set)

        with self._db.bus.listening(on_event):
            while True:
                woken.clear()
                try:
                    full = await self._end_refused()
                except DatabaseUnavailable as error:
                    log.warning("cannot check long requests: %s", type(error).__name__)
                    full = False
                if not full:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), POLL)

    async def _end_refused(self) -> bool:
        """Read new events, and end requests; whether there may be more events."""
        loop = asyncio.get_running_loop()
        page = await loop.run_in_executor(self._thread, self._db.events_after, self._position)
        self._due |= self._affected(page)
        if page:
            self._position = page[-1].id
        for request in tuple(self._due):
            problem = await loop.run_in_executor(self._thread, self._refusal, request)
            self._due.discard(request)
            if problem is not None:
                log.info("ended a connection of %s: %s", request.caller.name, problem.code)
                request.end()
        return len(page) == EVENTS_AT_ONCE

    def _affected(self, events: Iterable[RecordedEvent]) -> set[LongRequest]:
        """The requests whose rights may have changed."""
        now, events = self._clock.now(), list(events)
        if any(event.event in CHANGES_ANY_RIGHTS for event in events):
            return set(self._requests)
        return {
            request
            for request in self._requests
            if expired(request.caller, now)
            or (request.by_share and any(event.event in MEMBERSHIP for event in events))
            or any(changes_rights(request.caller, event) for event in events)
        }

    def _refusal(self, request: LongRequest) -> Problem | None:
        """Why the caller has no right to the request any more; None if they have."""
        caller = self._current_rights(request.caller)
        if caller is None and request.caller.session:
            return Unauthenticated(
                details="The session has ended", remediation="Log in again: open /login"
            )
        if caller is None:
            return Unauthenticated(
                details="The token was revoked, or has expired",
                remediation=NEW_TOKEN,
            )
        request.caller = caller  # a session that was used meanwhile ends later
        return request.check(request.scope, caller)


def lasts(scope: Any) -> bool:
    """Whether requests to this route may last long."""
    return bool(scope["route_handler"].opt.get(LASTS))
