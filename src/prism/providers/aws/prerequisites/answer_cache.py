"""One question for many who ask it at once."""

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
    """An answer on its way or there, and until when it counts; null is until it is there."""

    answer: Future[Value]
    until: datetime | None = None


class AnswerCache(Generic[Key, Value]):
    """Remembers answers for a while; who asks while one is on its way waits for that one.

    A failure is raised for all who waited for it, and not kept: 300 launches do not ask 300 times
    for what has just failed.
    """

    def __init__(self, clock: Clock, keep: timedelta) -> None:
        self._clock, self._keep = clock, keep
        self._lock = threading.Lock()
        self._known: dict[Key, CachedAnswer[Value]] = {}

    def get(self, key: Key, ask: Callable[[], Value]) -> Value:
        """What is known of `key`, or what `ask` answers now; raises what it raises."""
        with self._lock:
            kept = self._known.get(key)
            mine = kept is None or (kept.until is not None and kept.until <= self._clock.now())
            if kept is None or mine:
                self._known[key] = kept = CachedAnswer(Future())
        if mine:
            self._ask(key, kept, ask)
        return kept.answer.result()

    def keep(self, key: Key, value: Value) -> None:
        """Remember an answer that came by another way."""
        kept: CachedAnswer[Value] = CachedAnswer(Future(), self._clock.now() + self._keep)
        kept.answer.set_result(value)
        with self._lock:
            self._known[key] = kept

    def known(self, key: Key) -> Value | None:
        """What is remembered of `key`; asks nobody."""
        kept = self._known.get(key)
        fresh = kept and kept.until is not None and kept.until > self._clock.now()
        return kept.answer.result() if kept and fresh else None

    def asked(self, key: Key) -> bool:
        """Whether something is remembered of `key`, be it nothing."""
        kept = self._known.get(key)
        return kept is not None and kept.until is not None and kept.until > self._clock.now()

    def forget(self) -> None:
        """Ask again from now on; answers on their way reach those who wait for them."""
        with self._lock:
            self._known = {}

    def _ask(self, key: Key, kept: CachedAnswer[Value], ask: Callable[[], Value]) -> None:
        try:
            answer = ask()
        except BaseException as error:
            with self._lock:
                if self._known.get(key) is kept:
                    del self._known[key]
            kept.answer.set_exception(error)
            raise
        kept.until = self._clock.now() + self._keep
        kept.answer.set_result(answer)
