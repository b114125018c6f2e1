"""Resumes a hibernated workspace when a person opens its address.

A request counts only if a browser says that the person went there: by typing the address, by a
bookmark, or from a page of the same workspace. A page of another site, and of another workspace,
can make a browser send requests too, and gets the page with the button.

An address that a person opened may have led here, which browsers do not tell from typing this
one. So what costs money wakes only from a page of the same workspace, or by the button.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, TypeAlias

from prism.kit.events import Bus
from prism.kit.gate import Scope
from prism.kit.http import header
from prism.kit.problem_page import wants_page
from prism.workspaces.model import WorkspaceState
from prism.workspaces.plan import COMES_UP_STATES
from prism.workspaces.read_model import CachedWorkspace, ReadModel
from prism.workspaces.waiting import until_settled

WakingMode: TypeAlias = Literal["off", "free", "all"]
WAKE_SECONDS = 10  # that a request waits; then its page tries again


class AddressWaking:
    """Decides which requests wake a workspace, and lets them wait for it."""

    def __init__(
        self, mode: WakingMode, read_model: ReadModel, bus: Bus, resume: Callable[[str], object]
    ) -> None:
        """`resume` requests that the workspace of that name runs, or raises why it does not."""
        self._mode, self._read_model, self._bus, self._resume = mode, read_model, bus, resume

    async def wake(self, scope: Scope, name: str) -> bool:
        """Resume it if it sleeps, and wait until it runs; returns whether it still comes up."""
        if self._mode == "off" or not is_own_navigation(scope):
            return False
        cached = self._read_model.pages.named(name)
        if cached.state is WorkspaceState.HIBERNATED and self._may_wake(scope, cached):
            await asyncio.to_thread(self._resume, name)
        elif cached.state not in COMES_UP_STATES:
            return False
        await until_settled(self._bus, lambda: self._read_model.pages.named(name), WAKE_SECONDS)
        return self._read_model.pages.named(name).state in COMES_UP_STATES

    def _may_wake(self, scope: Scope, cached: CachedWorkspace) -> bool:
        """Whether it may be woken without a question: it is free, or mode and page allow it."""
        is_asked_here = self._mode == "all" and _site(scope) == b"same-origin"
        return is_asked_here or cached.workspace.hourly_rate == 0


def is_own_navigation(scope: Scope) -> bool:
    """Whether a browser says that a person opened this address, not a page of another site."""
    is_own = _site(scope) in {b"none", b"same-origin"}
    return wants_page(scope) and scope["method"] == "GET" and is_own


def _site(scope: Scope) -> bytes:
    return header(scope, b"sec-fetch-site")
