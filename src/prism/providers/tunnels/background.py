"""An event loop in its own thread for asyncssh, for callers that are not asynchronous."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from prism.errors import Unavailable

Result = TypeVar("Result")
CLOSE_TIMEOUT = 5.0
THREADS = 32


class Background:
    """Starts the loop at the first use; `close` ends it for good."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, work: Coroutine[Any, Any, Result], seconds: float) -> Result:
        """Run a coroutine in the loop, and wait for its result for at most `seconds`."""
        future = self.start(work)
        try:
            return future.result(seconds)
        except concurrent.futures.TimeoutError as error:
            future.cancel()
            raise Unavailable(f"No answer within {seconds:g} s") from error
        except concurrent.futures.CancelledError as error:
            raise Unavailable("The daemon is stopping") from error

    def start(self, work: Coroutine[Any, Any, Result]) -> "concurrent.futures.Future[Result]":
        """Run a coroutine in the loop without waiting for it."""
        with self._lock:
            if self._closed:
                work.close()
                raise Unavailable("The daemon is stopping")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # Reading a console in this executor may be slow, so it has many threads.
                self._loop.set_default_executor(ThreadPoolExecutor(THREADS, "prism-ssh"))
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="prism-ssh", daemon=True
                )
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Stop the loop and cancel its tasks."""
        with self._lock:
            self._closed, loop = True, self._loop
        if loop is not None and self._thread is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join(CLOSE_TIMEOUT)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(_run_some_turns())
        while tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(_run_some_turns())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def _run_some_turns() -> None:
    """Run a few iterations of the loop, which handle new and closed connections."""
    for _ in range(5):
        await asyncio.sleep(0)
