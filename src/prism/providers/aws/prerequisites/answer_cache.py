"""A cache that shares one call between threads that ask at once."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from msgspec import Struct

from prism.kit.clock import Clock

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class CachedAnswer(Struct, Generic[Value]):
    """An answer or a call under way; `until` is None until the answer has come."""

    answer: Future[Value]
    until: datetime | None = None


class AnswerCache(Generic[Key, Value]):
    """Stores answers for a limited time; threads that ask during a call wait for its answer.

    A failure is raised in all threads that waited, and not stored: 300 launches do not repeat a
    failed call 300 times.
    """

    def __init__(self, clock: Clock, keep: timedelta) -> None:
        self._clock, self._keep = clock, keep
        self._lock = threading.Lock()
        self._known: dict[Key, CachedAnswer[Value]] = {}

    def get(self, key: Key, ask: Callable[[], Value]) -> Value:
        """The stored value, else what `ask` returns; an error of `ask` is raised."""
        with self._lock:
            entry = self._known.get(key)
            asks = entry is None or (entry.until is not None and entry.until <= self._clock.now())
            if entry is None or asks:
                self._known[key] = entry = CachedAnswer(Future())
        if asks:
            self._ask(key, entry, ask)
        return entry.answer.result()

    def keep(self, key: Key, value: Value) -> None:
        """Store a value."""
        entry: CachedAnswer[Value] = CachedAnswer(Future(), self._clock.now() + self._keep)
        entry.answer.set_result(value)
        with self._lock:
            self._known[key] = entry

    def known(self, key: Key) -> Value | None:
        """The stored value, or None; makes no call."""
        entry = self._known.get(key)
        fresh = entry and entry.until is not None and entry.until > self._clock.now()
        return entry.answer.result() if entry and fresh else None

    def asked(self, key: Key) -> bool:
        """Whether a value is stored, even if it is None."""
        entry = self._known.get(key)
        return entry is not None and entry.until is not None and entry.until > self._clock.now()

    def forget(self) -> None:
        """Forget all values; calls under way still answer the threads that wait for them."""
        with self._lock:
            self._known = {}

    def _ask(self, key: Key, entry: CachedAnswer[Value], ask: Callable[[], Value]) -> None:
        try:
            answer = ask()
        except BaseException as error:
            with self._lock:
                if self._known.get(key) is entry:
                    del self._known[key]
            entry.answer.set_exception(error)
            raise
        entry.until = self._clock.now() + self._keep
        entry.answer.set_result(answer)
