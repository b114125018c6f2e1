"""A connection to one machine: opened when needed, opened again when it broke."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from prism.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncssh import SSHClientConnection

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before the next try, doubled each time


class ReopenedLink(ABC):
    """A connection that `_dial` opens; use it only in the background loop.

    `_dial` raises a `Problem`; one of a type in `fatal` is not tried again soon.
    """

    fatal: tuple[type[Problem], ...] = ()

    def __init__(self) -> None:
        self._ssh: SSHClientConnection | None = None
        self._opening: asyncio.Task[SSHClientConnection] | None = None
        self._failures, self._again_at = 0, 0.0
        self._why: Problem | None = None
        self._users, self.used_at = 0, asyncio.get_running_loop().time()

    @abstractmethod
    async def _dial(self) -> SSHClientConnection:
        """Connect, and log in."""

    @property
    def idle_since(self) -> float | None:
        """Since when the open connection is unused; None if it is used, or not open."""
        return None if self._ssh is None or self._users else self.used_at

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Count a use of the connection."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self.used_at = asyncio.get_running_loop().time()

    async def connection(self) -> SSHClientConnection:
        """The connection, opened if needed; after a failure, raises until the next try is due."""
        if self._ssh is not None and not self._ssh.is_closed():
            return self._ssh
        if self._opening is None or self._opening.done():
            wait = self._again_at - asyncio.get_running_loop().time()
            if self._why is not None and wait > 0:
                raise type(self._why).copied(self._why)
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    def reset_backoff(self) -> None:
        """Forget failures: the next use connects at once."""
        self._failures, self._again_at, self._why = 0, 0.0, None

    def close(self) -> None:
        """Disconnect, even if the connection is in use."""
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        if self._ssh is not None:
            self._ssh.abort()
            self._ssh = None

    async def _open(self) -> SSHClientConnection:
        try:
            self._ssh = await self._dial()
        except Problem as why:
            pause = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
            pause = LONGEST_PAUSE if isinstance(why, self.fatal) else pause
            self._failures, self._why = self._failures + 1, why
            self._again_at = asyncio.get_running_loop().time() + pause
            raise
        self._failures, self._why = 0, None
        return self._ssh
