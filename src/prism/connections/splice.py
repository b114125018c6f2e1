"""Moves large bodies from socket to socket inside the kernel, with `splice` (Linux only).

Reading a gigabyte into Python and writing it out again takes seconds of CPU time; `splice`
takes a tenth of that. Each turn of the event loop moves a limited piece, so that other
tasks do not wait long.
"""

import asyncio
import contextlib
import errno
import fcntl
import os

WORTH = 1 << 20  # bytes; below, two more system calls cost more than they save
HELD = 1 << 20  # bytes that the pipe between the sockets can hold
TURN = 2 << 20  # bytes to move before other tasks run
CANNOT = {errno.EINVAL, errno.ENOSYS}
POSSIBLE = hasattr(os, "splice")


class CannotSplice(Exception):
    """The kernel cannot splice these sockets; nothing was moved."""


async def move(source: int, target: int, count: int) -> None:
    """Move `count` bytes between two sockets, given as descriptors, as fast as both allow.

    Nobody else may read from `source` or write to `target` meanwhile.
    """
    with contextlib.ExitStack() as stack:
        # Duplicates, since the event loop already watches the descriptors of its transports.
        ends = [os.dup(source), os.dup(target), *os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)]
        for number in ends:
            stack.callback(os.close, number)
        with contextlib.suppress(OSError):  # a machine may be short of pipe buffers
            fcntl.fcntl(ends[3], fcntl.F_SETPIPE_SZ, HELD)
        moving = _Move(ends, count)
        stack.callback(moving.rest)
        moving.go()
        await moving.done


class _Move:
    """The state of a move between turns of the event loop."""

    def __init__(self, ends: list[int], count: int) -> None:
        self._source, self._target, self._out, self._into = ends
        self._left, self._held, self._whole = count, 0, count
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle | None = None
        self.done: asyncio.Future[None] = self._loop.create_future()

    def go(self) -> None:
        """Move what can be moved now, and schedule the next turn."""
        self.rest()
        if self.done.done():
            return
        try:
            if self._move(TURN):
                self._next = self._loop.call_soon(self.go)
            elif not self._left and not self._held:
                self.done.set_result(None)
            elif self._held:
                self._loop.add_writer(self._target, self.go)
            else:
                self._loop.add_reader(self._source, self.go)
        except OSError as error:
            nothing = self._left == self._whole and error.errno in CANNOT
            self.done.set_exception(CannotSplice() if nothing else error)

    def rest(self) -> None:
        """Stop watching the descriptors."""
        self._loop.remove_reader(self._source)
        self._loop.remove_writer(self._target)
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _move(self, most: int) -> bool:
        """Move at most `most` bytes; whether more could be moved at once."""
        flags = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
        while most > 0 and (self._left or self._held):
            try:
                if self._held:
                    sent = os.splice(self._out, self._target, self._held, flags=flags)
                    self._held -= sent
                    most -= sent
                else:
                    read = os.splice(self._source, self._into, min(self._left, HELD), flags=flags)
                    if not read:
                        raise ConnectionResetError("it ended before its end")
                    self._held, self._left = read, self._left - read
            except BlockingIOError:
                return False
        return bool(self._left or self._held)
