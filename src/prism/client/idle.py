"""Client methods for idleness."""

from __future__ import annotations

import builtins

from prism.client.models import idle
from prism.client.transport.request import Noun
from prism.client.transport.wire import query, quoted

IDLE_PATH = "/idle"


class Idle(Noun):
    """Methods for idleness; `name` is a workspace's name or instance id."""

    def profiles(self) -> builtins.list[idle.IdleProfile]:
        """Every idle profile."""
        return self._ask("GET", f"{IDLE_PATH}/profiles", builtins.list[idle.IdleProfile])

    def create_profile(self, profile: idle.NewIdleProfile) -> idle.IdleProfile:
        """Add a profile of one's own."""
        return self._ask("POST", f"{IDLE_PATH}/profiles", idle.IdleProfile, profile)

    def delete_profile(self, name: str) -> idle.DeletedIdleProfile:
        """Delete a profile that no workspace uses."""
        return self._ask("DELETE", f"{IDLE_PATH}/profiles/{quoted(name)}", idle.DeletedIdleProfile)

    def configure(
        self, name: str, profile: str, *, enabled: bool = True, minutes: int | None = None
    ) -> idle.EffectiveIdleRules:
        """Choose a workspace's profile; the rules that count now."""
        body = idle.ConfigureIdleRequest(
            profile=profile, enabled=enabled, custom_threshold_minutes=minutes
        )
        return self._ask("POST", _path(name, "configure"), idle.EffectiveIdleRules, body)

    def keep_awake(self, name: str, minutes: int) -> idle.KeepAwakeAnswer:
        """Keep a workspace awake for so many minutes; 0 ends that."""
        body = idle.KeepAwakeRequest(minutes=minutes)
        return self._ask("POST", _path(name, "keep-awake"), idle.KeepAwakeAnswer, body)

    def why(self, name: str) -> idle.IdleStatus:
        """Why a workspace is awake or asleep."""
        return self._ask("GET", _path(name), idle.IdleStatus)

    def activity(self, name: str) -> idle.Activity:
        """The activity of a workspace in the last 24 hours, in steps of ten minutes."""
        return self._ask("GET", _path(name, "activity"), idle.Activity)

    def history(self, limit: int = 100) -> builtins.list[idle.IdleAction]:
        """The actions on idle workspaces, the newest first."""
        path = f"{IDLE_PATH}/history" + query(limit=limit)
        return self._ask("GET", path, builtins.list[idle.IdleAction])


def _path(name: str, *verb: str) -> str:
    return "/".join((IDLE_PATH, "instances", quoted(name), *verb))
