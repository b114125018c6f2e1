"""The Python client for asyncio: the same nouns and methods, in threads."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Self

from prism.client.client import Client
from prism.kit.events import SentEvent

STREAMS = ("Iterator[", "Generator[")  # what a method with several answers returns


class AsyncClient:
    """A `Client` whose methods are awaited: `await prism.workspaces.get("mine")`.

    It has the nouns and arguments of `Client`, and raises the same problems. Methods that yield
    several answers, such as `events` and `logs.follow`, are used with `async for`. A request that
    you cancel is not taken back: the daemon may carry it out.
    """

    def __init__(self, **options: Any) -> None:
        """`options` are those of `Client`."""
        self._client = Client(**options)

    def __getattr__(self, noun: str) -> Any:
        """A noun of the client, such as `workspaces`."""
        if noun.startswith("_"):
            raise AttributeError(noun)
        return AsyncNoun(getattr(self._client, noun))

    def events(self, after: str | int | None = None, **options: Any) -> AsyncIterator[SentEvent]:
        """Yield events as they happen, as `Client.events`."""
        return iterate(lambda: self._client.events(after, **options))

    async def __aenter__(self) -> Self:
        """Does nothing: each request has its own connection."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Does nothing."""


class AsyncNoun:
    """The methods of one noun, to be awaited or iterated over."""

    def __init__(self, noun: Any) -> None:
        self._noun = noun

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A method of the noun."""
        method = getattr(self._noun, name)
        if str(inspect.signature(method).return_annotation).startswith(STREAMS):
            return lambda *args, **options: iterate(lambda: method(*args, **options))
        return lambda *args, **options: in_thread(lambda: method(*args, **options))

    def __dir__(self) -> list[str]:
        """The methods of the noun, for completion."""
        return dir(self._noun)


class _Handover:
    """Gives what a block in a thread returns or raises to a future of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, result: "asyncio.Future[Any]") -> None:
        self._loop, self._result = loop, result
        self.answer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, error)
        return True

    def _settle(self, error: BaseException | None) -> None:
        if self._result.done():  # it was cancelled
            return
        if error is None:
            self._result.set_result(self.answer)
        else:
            self._result.set_exception(error)


async def in_thread(call: Callable[[], Any]) -> Any:
    """The result of a call in a thread of its own, for which the end of the program never waits.

    `asyncio.to_thread` would: a cancelled request may go on for minutes.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Any] = loop.create_future()

    def run() -> None:
        with _Handover(loop, result) as handover:
            handover.answer = call()

    threading.Thread(target=run, daemon=True).start()
    return await result


async def iterate(begin: Callable[[], Any]) -> AsyncIterator[Any]:
    """Yield what an iterator yields; it is asked for an item when the one before was taken."""
    end = object()
    source = await in_thread(begin)
    try:
        while (item := await in_thread(lambda: next(source, end))) is not end:
            yield item
    finally:
        with suppress(ValueError):  # it waits for an item, which a cancelled task wanted
            source.close()
