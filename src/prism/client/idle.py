"""Idleness, across the wire."""

import builtins

from prism.client.decoding import ask
from prism.client.wire import Wire, query, quoted
from prism.idle.model import (
    Activity,
    Awake,
    Configuration,
    DeletedIdleProfile,
    Effective,
    IdleAction,
    IdleProfile,
    IdleStatus,
    NewIdleProfile,
    Wakefulness,
)

PATH = "/idle"


class Idle:
    """What you may ask about idleness; `name` is a workspace's name or instance id."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def profiles(self) -> builtins.list[IdleProfile]:
        """Every idle profile."""
        return ask(self._wire, "GET", f"{PATH}/profiles", builtins.list[IdleProfile])

    def create_profile(self, profile: NewIdleProfile) -> IdleProfile:
        """Add a profile of one's own."""
        return ask(self._wire, "POST", f"{PATH}/profiles", IdleProfile, profile)

    def delete_profile(self, name: str) -> DeletedIdleProfile:
        """Forget a profile that watches nothing."""
        return ask(self._wire, "DELETE", f"{PATH}/profiles/{quoted(name)}", DeletedIdleProfile)

    def configure(
        self, name: str, profile: str, *, enabled: bool = True, minutes: int | None = None
    ) -> Effective:
        """Watch a workspace by a profile; what holds from now on."""
        body = Configuration(profile=profile, enabled=enabled, custom_threshold_minutes=minutes)
        return ask(self._wire, "POST", _path(name, "configure"), Effective, body)

    def keep_awake(self, name: str, minutes: int) -> Awake:
        """Leave a workspace awake for so many minutes; 0 ends that."""
        body = Wakefulness(minutes)
        return ask(self._wire, "POST", _path(name, "keep-awake"), Awake, body)

    def why(self, name: str) -> IdleStatus:
        """Why a workspace is awake or asleep."""
        return ask(self._wire, "GET", _path(name), IdleStatus)

    def activity(self, name: str) -> Activity:
        """What a workspace did in the last 24 hours, in steps of ten minutes."""
        return ask(self._wire, "GET", _path(name, "activity"), Activity)

    def history(self, limit: int = 100) -> builtins.list[IdleAction]:
        """What was done because of idleness, the newest first."""
        path = f"{PATH}/history" + query(limit=limit)
        return ask(self._wire, "GET", path, builtins.list[IdleAction])


def _path(name: str, *verb: str) -> str:
    return "/".join((PATH, "instances", quoted(name), *verb))
