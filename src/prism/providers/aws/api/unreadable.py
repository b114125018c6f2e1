"""Resources whose description Prism cannot parse: they are reported, and never changed."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from prism.errors import Unavailable
from prism.providers.aws.api.tags import ID_TAG, read

log = logging.getLogger(__name__)
Item = TypeVar("Item")
PARSE_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Exceptions of parsing an answer that is not as AWS documents it."""


class ItemUnreadable(Unavailable):
    """AWS describes one machine, volume or snapshot in a way that Prism does not understand."""


class ReadableItems(Struct, frozen=True):
    """The readable items of a listing; for the others the reason, by Prism's key if known."""

    items: list[Any]
    unreadable: Mapping[str, str]


def read_item(id: str, read_it: Callable[[], Item]) -> Item:
    """The result of `read_it` for the item with this id; raises `ItemUnreadable`."""
    try:
        return read_it()
    except PARSE_ERRORS as why:
        raise ItemUnreadable(
            f"AWS describes {id} in a way that this version of Prism cannot read, so Prism "
            "changes nothing of it",
            details=f"{type(why).__name__}: {why}",
        ) from why


class UnreadableItems:
    """The items that could not be read in the last listing of each kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unreadable: dict[str, dict[str, str]] = {}  # by kind and id

    def read_each(
        self,
        field: str,
        items: Iterable[Mapping[str, Any]],
        read_it: Callable[[Mapping[str, Any]], Any],
    ) -> ReadableItems:
        """Read all items of a listing; `field` has the id of an item, and tells the kind."""
        parsed, by_id, by_key = [], {}, {}
        for item in items:
            id = str(item.get(field))
            try:
                parsed.append(read_item(id, lambda item=item: read_it(item)))  # type: ignore[misc]
            except ItemUnreadable as why:
                by_id[id] = why.message
                by_key[_prism_key(item)] = why.message
                self._log_new(field, id, why)
        with self._lock:
            self._unreadable[field] = by_id
        return ReadableItems(parsed, by_key)

    def reasons(self) -> list[str]:
        """One sentence per unreadable item."""
        with self._lock:
            return [why for by_id in self._unreadable.values() for _, why in sorted(by_id.items())]

    def _log_new(self, field: str, id: str, why: ItemUnreadable) -> None:
        """Log an item when it becomes unreadable, not at each survey."""
        with self._lock:
            known = id in self._unreadable.get(field, ())
        if not known:
            log.error("%s: %s", why.message, why.details)


def _prism_key(item: Mapping[str, Any]) -> str:
    try:
        return read(item.get("Tags")).get(ID_TAG, "")
    except PARSE_ERRORS:
        return ""
