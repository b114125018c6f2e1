"""What AWS describes in a way that Prism cannot read: it is there, is named, and is left alone."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from prism.errors import Unavailable
from prism.providers.aws.api.tags import ID, read

log = logging.getLogger(__name__)
T = TypeVar("T")
ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading an answer raises that is not as AWS documents it."""


class ItemUnreadable(Unavailable):
    """AWS describes one machine, volume or snapshot in a way that Prism does not understand."""


class ReadableItems(Struct, frozen=True):
    """The readable items of a listing, and why the others are not, by Prism's key if known."""

    items: list[Any]
    unreadable: Mapping[str, str]


def read_item(id: str, read_it: Callable[[], T]) -> T:
    """What `read_it` makes of the item with this id; raises `ItemUnreadable`."""
    try:
        return read_it()
    except ODD as why:
        raise ItemUnreadable(
            f"AWS describes {id} in a way that this version of Prism cannot read, so Prism "
            "changes nothing of it",
            details=f"{type(why).__name__}: {why}",
        ) from why


class UnreadableItems:
    """The items that could not be read in the last listing of each kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, dict[str, str]] = {}  # by kind and id

    def read_each(
        self,
        field: str,
        items: Iterable[Mapping[str, Any]],
        read_it: Callable[[Mapping[str, Any]], Any],
    ) -> ReadableItems:
        """Read a whole listing; `field` is where an item has its id, and names the kind."""
        found, odd, keys = [], {}, {}
        for item in items:
            id = str(item.get(field))
            try:
                found.append(read_item(id, lambda item=item: read_it(item)))  # type: ignore[misc]
            except ItemUnreadable as why:
                odd[id] = why.message
                keys[_key(item)] = why.message
                self._say(field, id, why)
        with self._lock:
            self._of[field] = odd
        return ReadableItems(found, keys)

    def reasons(self) -> list[str]:
        """A sentence for each."""
        with self._lock:
            return [why for of in self._of.values() for _, why in sorted(of.items())]

    def _say(self, field: str, id: str, why: ItemUnreadable) -> None:
        """Once, and not at each look."""
        with self._lock:
            known = id in self._of.get(field, ())
        if not known:
            log.error("%s: %s", why.message, why.details)


def _key(item: Mapping[str, Any]) -> str:
    try:
        return read(item.get("Tags")).get(ID, "")
    except ODD:
        return ""
