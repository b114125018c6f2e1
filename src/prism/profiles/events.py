"""What can happen to a profile."""

from typing import Any, ClassVar

from prism.kit.events import Event
from prism.profiles.providers import Provider


class ProfileCreated(Event, frozen=True, kw_only=True):
    """There is a new one."""

    event: ClassVar[str] = "profile_created"
    provider: Provider


class ProfileChanged(Event, frozen=True, kw_only=True):
    """It is different now."""

    event: ClassVar[str] = "profile_changed"
    fields: tuple[str, ...]
    before: dict[str, Any]
    after: dict[str, Any]


class ProfileSwitched(Event, frozen=True, kw_only=True):
    """A user switched to it."""

    event: ClassVar[str] = "profile_switched"
    previous: str


class ProfileDeleted(Event, frozen=True, kw_only=True):
    """It is gone."""

    event: ClassVar[str] = "profile_deleted"
