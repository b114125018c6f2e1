"""The events of profiles."""

from typing import Any, ClassVar

from prism.kit.events import Event
from prism.profiles.model import Provider


class ProfileCreated(Event, frozen=True, kw_only=True):
    """A profile was created."""

    event: ClassVar[str] = "profile_created"
    provider: Provider


class ProfileChanged(Event, frozen=True, kw_only=True):
    """A profile was changed."""

    event: ClassVar[str] = "profile_changed"
    fields: tuple[str, ...]
    before: dict[str, Any]
    after: dict[str, Any]


class ProfileSwitched(Event, frozen=True, kw_only=True):
    """A user switched to a profile."""

    event: ClassVar[str] = "profile_switched"
    previous: str


class ProfileDeleted(Event, frozen=True, kw_only=True):
    """A profile was deleted."""

    event: ClassVar[str] = "profile_deleted"
