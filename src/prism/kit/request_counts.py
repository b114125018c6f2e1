"""Counts requests by route, method and status, and measures the time until their answers begin.

That is the time that people notice, and the only one that streams and downloads share with other
requests. Each label has few values: a route is a template of the API, without the names in it.
"""

import time
from bisect import bisect_left
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from prism.kit.gate import ROUTE, AsgiApp, Receive, Scope, Send

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the histogram's buckets, in seconds."""
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
STATUSES = {status.value: str(status.value) for status in HTTPStatus}
UNCOUNTED = "other"  # a route, method or status that is none of ours, such as one of a workspace
UNANSWERED = "none"  # the status of a request that ended without an answer
STARTS = {"http.response.start", "websocket.http.response.start"}


class RequestKind(NamedTuple):
    """What requests are counted by; `route` as Litestar writes it."""

    route: str
    method: str
    status: str


class Tally:
    """The requests of one kind: how many in each bucket, and their seconds together."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets, self.seconds = [0] * (len(BOUNDS) + 1), 0.0


class RequestCounts:
    """ASGI middleware around the gate. All requests run in one thread, so nothing is locked."""

    def __init__(self) -> None:
        self._app: AsgiApp | None = None
        self.tallies: dict[RequestKind, Tally] = {}

    def around(self, app: AsgiApp) -> "RequestCounts":
        """Count the requests to an application."""
        self._app = app
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and count."""
        assert self._app is not None
        if scope["type"] not in {"http", "websocket"}:
            return await self._app(scope, receive, send)
        began, is_counted = time.perf_counter(), False

        async def counting(message: Any) -> None:
            nonlocal is_counted
            if not is_counted:
                status = _status(message)
                if status:
                    is_counted = True
                    self._count(scope, status, time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            if not is_counted:
                self._count(scope, UNANSWERED, time.perf_counter() - began)

    def _count(self, scope: Scope, status: str, seconds: float) -> None:
        route = scope.get(ROUTE) or scope.get("path_template") or UNCOUNTED
        method = "WS" if scope["type"] == "websocket" else scope["method"]
        if method not in METHODS and method != "WS":
            method = UNCOUNTED
        kind = RequestKind(route, method, status)
        tally = self.tallies.get(kind)
        if tally is None:
            tally = self.tallies[kind] = Tally()
        tally.buckets[bisect_left(BOUNDS, seconds)] += 1
        tally.seconds += seconds

    def snapshot(self) -> Mapping[RequestKind, Tally]:
        """The counts now; for other threads."""
        return self.tallies.copy()


def _status(message: Mapping[str, Any]) -> str:
    """The status that a message begins an answer with; empty if it begins none."""
    kind = message["type"]
    if kind in STARTS:
        return STATUSES.get(message["status"], UNCOUNTED)
    if kind == "websocket.accept":
        return STATUSES[HTTPStatus.SWITCHING_PROTOCOLS]
    return STATUSES[HTTPStatus.FORBIDDEN] if kind == "websocket.close" else ""
