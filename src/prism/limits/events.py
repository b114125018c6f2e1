"""The event of limits; `subject` is the person, the token or the role."""

from typing import Any, ClassVar

from prism.kit.events import Event

VALUES = ("monthly", "workspaces", "gpus")


class LimitChanged(Event, frozen=True, kw_only=True):
    """A limit was set, changed or removed; `monthly` in micro-dollars.

    `project` is null for a limit in all projects.
    """

    event: ClassVar[str] = "limit_changed"
    money: ClassVar[frozenset[str]] = frozenset({"monthly"})
    limit: str
    scope: str
    project: str | None
    by_operator: bool
    before: dict[str, Any] | None
    after: dict[str, Any] | None
