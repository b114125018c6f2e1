"""An event loop in a thread of its own: asyncssh is asynchronous, the packages are not."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from prism.errors import Unavailable

Result = TypeVar("Result")
GOODBYE = 5.0
THREADS = 32


class Background:
    """Started by the first who needs it; ended once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, work: Coroutine[Any, Any, Result], seconds: float) -> Result:
        """Do it there, and wait for it, but not for longer than that."""
        done = self.start(work)
        try:
            return done.result(seconds)
        except concurrent.futures.TimeoutError as error:
            done.cancel()
            raise Unavailable(f"No answer within {seconds:g} s") from error
        except concurrent.futures.CancelledError as error:
            raise Unavailable("The daemon is stopping") from error

    def start(self, work: Coroutine[Any, Any, Result]) -> "concurrent.futures.Future[Result]":
        """Do it there, and wait for nothing."""
        with self._lock:
            if self._closed:
                work.close()
                raise Unavailable("The daemon is stopping")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # Consoles are asked there, which may take long: nobody shall wait behind them.
                self._loop.set_default_executor(ThreadPoolExecutor(THREADS, "prism-ssh"))
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="prism-ssh", daemon=True
                )
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End everything that goes on there."""
        with self._lock:
            self._closed, loop = True, self._loop
        if loop is not None and self._thread is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join(GOODBYE)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(_rounds())
        while left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(_rounds())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def _rounds() -> None:
    """A few turns of the loop: who has just come is met, what was hung up on hears of it."""
    for _ in range(5):
        await asyncio.sleep(0)
