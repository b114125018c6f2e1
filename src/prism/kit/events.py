"""Events, their form in the API, and the bus that announces new events.

An event becomes a row in the transaction that it is about (`kit/journal.py`). The bus carries no
events, it only announces that there are some: a listener reads the rows from where it stopped. So
a commit never waits for listeners, and no event is lost.
"""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar

from msgspec import Struct

MONEY: dict[str, frozenset[str]] = {}  # which fields of an event are micro-dollars
RESYNC = "resync"  # no change of its own: clients must read everything again
EVENT_ID = re.compile(r"(?:evt_)?([0-9]{1,18})")


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened; the other fields of a subclass are its data.

    `money` names the fields, also within `before` and `after`, that are micro-dollars.
    """

    event: ClassVar[str]
    money: ClassVar[frozenset[str]] = frozenset()
    actor: str
    subject: str

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if cls.money:
            MONEY[cls.event] = cls.money


class RecordedEvent(Struct, frozen=True):
    """An event as it is stored; ids grow in the order of the commits."""

    id: int
    event: str
    at: datetime
    actor: str
    subject: str
    data: dict[str, Any]


class SentEvent(Struct, frozen=True):
    """An event as the API sends it; ids of operators sort in the order of the events."""

    id: str
    event: str
    at: datetime
    actor: str
    subject: str
    data: dict[str, Any]


def sent_event(event: RecordedEvent, id: str) -> SentEvent:
    """An event as the API sends it, with this id."""
    at = event.at.replace(microsecond=0)
    data = in_dollars(event.data, MONEY.get(event.event, frozenset()))
    return SentEvent(id, event.event, at, event.actor, event.subject, data)


def in_dollars(data: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The data with a field in dollars for each one in micro-dollars, such as `cap_usd`."""
    if not names:
        return data
    converted: dict[str, Any] = {}
    for name, value in data.items():
        inner = isinstance(value, dict) and name in {"before", "after"}
        converted[name] = in_dollars(value, names) if inner else value
        if name in names and isinstance(value, int):
            converted[f"{name}_usd"] = value / 1_000_000
    return converted


def id_of(number: int) -> str:
    """The event id in the API, for the number of an event."""
    return f"evt_{number:016d}"


def number_of(id: str) -> int | None:
    """The number of an event, from its id in the API or from the number itself; else None."""
    match = EVENT_ID.fullmatch(id)
    return int(match[1]) if match else None


class Bus:
    """Announces commits within this process."""

    def __init__(self) -> None:
        self._callbacks: set[Callable[[], object]] = set()
        self.closed = False

    def notify(self) -> None:
        """Call every listener after a commit; a listener must not wait."""
        for callback in tuple(self._callbacks):
            callback()

    def close(self) -> None:
        """End every reader, because the daemon stops."""
        self.closed = True
        self.notify()

    @contextmanager
    def listening(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call `callback` after every commit, in the thread that committed."""
        self._callbacks.add(callback)
        try:
            yield
        finally:
            self._callbacks.discard(callback)
