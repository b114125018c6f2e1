"""`?wait=SECONDS`: delays the answer to a request until the workspace's last request is fulfilled.

As a middleware it waits after the handler's transaction, so nothing is locked. Then it writes the
workspace's current state into the answer. A `GET` is handled after waiting.
"""

import asyncio
import json
import re
from collections.abc import Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from msgspec import structs

from prism.access.plan import visible
from prism.errors import Problem, ValidationFailed
from prism.kit.events import Bus
from prism.kit.gate import AsgiApp, Receive, Scope, Send
from prism.kit.http import PARAMETERS
from prism.kit.routes import HandlerRoutes
from prism.workspaces.plan import IN_BETWEEN
from prism.workspaces.read_model import CachedWorkspace, ReadModel
from prism.workspaces.view import launch_progress

WAIT = "wait"  # the parameter; routes that have it are marked with `WAITS`
WAITS = {PARAMETERS: (WAIT,)}
MAX_WAIT_SECONDS = 300
WHOLE = re.compile(r"[0-9]{1,9}")


class WaitMiddleware:
    """ASGI middleware that delays answers."""

    def __init__(self, app: AsgiApp, read_model: ReadModel, bus: Bus) -> None:
        self._app, self._read_model, self._bus = app, read_model, bus

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Delay the answer if the request has `?wait=`."""
        if b"wait=" not in scope["query_string"]:
            return await self._app(scope, receive, send)
        seconds = _seconds(scope)
        if scope["method"] == "GET":
            name = scope["path_params"]["name"]
            await until_settled(self._bus, lambda: self._visible(name), seconds)
            return await self._app(scope, receive, send)
        held = _HeldAnswer(send)
        await self._app(scope, receive, held)
        if held.status in {200, 201} and "name" in held.answer:
            # The name of the request: the answer has the short one, which may mean another.
            name = str(scope.get("path_params", {}).get("name", held.answer["name"]))
            await until_settled(self._bus, lambda: self._visible(name), seconds)
            held.amend(self._visible(name))
        return await held.release()

    def _visible(self, name: str) -> CachedWorkspace | None:
        try:
            cached = self._read_model.pages.named(name)
        except Problem:
            return None  # terminated, and no longer listed
        # The answer may be a repeated one, and its reader may have left the project.
        return cached if visible(cached.workspace.project, cached.workspace.owner) else None


async def until_settled(
    bus: Bus, look: Callable[[], CachedWorkspace | None], seconds: float
) -> None:
    """Wait until no change of the workspace is under way, or it is gone, or the time is over."""
    woken, loop = asyncio.Event(), asyncio.get_running_loop()
    until = loop.time() + seconds
    with bus.listening(lambda: loop.call_soon_threadsafe(woken.set)):
        while not bus.closed and (left := until - loop.time()) > 0:
            woken.clear()
            if (cached := look()) is None or cached.state not in IN_BETWEEN:
                return
            try:
                await asyncio.wait_for(woken.wait(), left)
            except TimeoutError:
                return


class _HeldAnswer:
    """Keeps an answer back, so that it can be changed before it is sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: dict[str, Any] = {}
        self._body = b""
        self.answer: dict[str, Any] = {}

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self._start.get("status", 0))

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Store a part of the answer."""
        if message["type"] == "http.response.start":
            self._start = dict(message)
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body") and self.status in {200, 201}:
                self.answer = json.loads(self._body)

    def amend(self, cached: CachedWorkspace | None) -> None:
        """Replace the predicted state in the answer by the current state."""
        if cached is None:
            return
        workspace = cached.workspace
        now = {
            "state": cached.state,
            "new_state": cached.state,
            "instance_id": workspace.machine_id or workspace.expected_id,
            "launch_progress": launch_progress(workspace),
        }
        self.answer |= {key: value for key, value in now.items() if key in self.answer}
        if cached.idle.note and "notes" in self.answer:
            self.answer["notes"] = [*self.answer["notes"], cached.idle.note]
        if workspace.failure:
            self.answer["failure"] = structs.asdict(workspace.failure)
        self._body = json.dumps(self.answer).encode()

    async def release(self) -> None:
        """Send the answer."""
        headers = [(k, v) for k, v in self._start["headers"] if k.lower() != b"content-length"]
        headers.append((b"content-length", b"%d" % len(self._body)))
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": self._body, "more_body": False})


def may_wait(routes: HandlerRoutes) -> bool:
    """Whether a handler's requests may have `?wait=`."""
    return WAIT in routes.options.get(PARAMETERS, ())


def _seconds(scope: Scope) -> int:
    values = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get(
        WAIT, []
    )
    digits = "".join(values) if len(values) == 1 else ""
    if WHOLE.fullmatch(digits) and int(digits) <= MAX_WAIT_SECONDS:
        return int(digits)
    raise ValidationFailed.of(
        (WAIT, f"must be a whole number of seconds, 0 to {MAX_WAIT_SECONDS}")
    )
