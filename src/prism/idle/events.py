"""Events about idleness; `subject` is a workspace's or a profile's name."""

from datetime import datetime
from typing import ClassVar

from prism.kit.events import Event
from prism.workspaces.events import WorkspaceEvent
from prism.workspaces.idleness import Action


class HibernationTriggered(WorkspaceEvent, frozen=True, kw_only=True):
    """A machine hibernated or stopped because it was idle; `estimated_savings` is per hour."""

    event: ClassVar[str] = "hibernation_triggered"
    instance_name: str
    action: Action
    idle_duration: str
    profile: str
    estimated_savings: float | None
    note: str | None


class IdleConfigured(WorkspaceEvent, frozen=True, kw_only=True):
    """A workspace's idle rules changed."""

    event: ClassVar[str] = "idle_configured"
    profile: str
    enabled: bool
    idle_threshold_minutes: int
    action: Action


class KeptAwake(WorkspaceEvent, frozen=True, kw_only=True):
    """A workspace is kept awake, or not any more."""

    event: ClassVar[str] = "idle_kept_awake"
    until: datetime | None


class IdleUnknown(WorkspaceEvent, frozen=True, kw_only=True):
    """A workspace's idleness has long been unknown: it stays awake, and costs money."""

    event: ClassVar[str] = "idle_unknown"
    minutes: int
    because: tuple[str, ...]


class SleepsSoon(WorkspaceEvent, frozen=True, kw_only=True):
    """An idle workspace goes to sleep at that time, some minutes from now, if it stays idle."""

    event: ClassVar[str] = "idle_sleeps_soon"
    acts_at: datetime


class IdleProfileCreated(Event, frozen=True, kw_only=True):
    """An idle profile was created."""

    event: ClassVar[str] = "idle_profile_created"


class IdleProfileDeleted(Event, frozen=True, kw_only=True):
    """An idle profile was deleted."""

    event: ClassVar[str] = "idle_profile_deleted"
