"""Tags that Prism has written and that EC2 may not show yet.

EC2 is eventually consistent (EC2 Developer Guide, "Eventual consistency in the Amazon EC2 API"): a
change "might not be immediately visible", for up to about five minutes. An old tag can lead to a
harmful decision: a used volume counts as empty, an unmounted one as mounted. So all code that
reads tags calls `over`, which adds what this daemon has written.
"""

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from prism.kit.clock import Clock
from prism.providers.aws.api.tags import listed, read

CONSISTENT_AFTER = timedelta(minutes=5)
MOST_RESOURCES = 5000  # resources with written tags; beyond that, expired ones are dropped
TagValues = dict[str, tuple[str | None, datetime]]  # by tag name; None: the tag was removed


class WrittenTags:
    """The changes by `CreateTags` and `DeleteTags` that EC2 may not show yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._written: dict[str, TagValues] = {}

    def note(self, action: str, arguments: Mapping[str, Any]) -> None:
        """Record a successful call if it is `CreateTags` or `DeleteTags`."""
        if action not in {"CreateTags", "DeleteTags"}:
            return
        until = self._clock.now() + CONSISTENT_AFTER
        for tag in arguments.get("Tags") or ():
            if action == "DeleteTags" and "Value" in tag:
                continue  # EC2 removes it only if it has this value, which Prism does not know
            value = tag["Value"] if action == "CreateTags" else None
            with self._lock:
                for id in arguments["Resources"]:
                    self._written.setdefault(id, {})[tag["Key"]] = (value, until)
        if len(self._written) > MOST_RESOURCES:
            self._forget_old()

    def over(self, id: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """An item of an answer, with newer tags that we have written."""
        with self._lock:
            if (written := self._written.get(id)) is None:
                return item
            tags, now = read(item.get("Tags")), self._clock.now()
            for key, (value, until) in list(written.items()):
                if until <= now or tags.get(key) == value:
                    del written[key]
                elif value is None:
                    tags.pop(key, None)
                else:
                    tags[key] = value
            if not written:
                del self._written[id]
        return {**item, "Tags": listed(tags)}

    def _forget_old(self) -> None:
        now = self._clock.now()
        with self._lock:
            for id, written in list(self._written.items()):
                if all(until <= now for _, until in written.values()):
                    del self._written[id]
