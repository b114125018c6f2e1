"""Distinguishes local workspaces from others by the fields of the API."""

from __future__ import annotations

from prism.annotations import Any, Mapping

HERE = "local"


def machine_type(workspace: Mapping[str, Any]) -> str:
    """The type of its machine; here it only sets limits, and the price if one is simulated."""
    kind = str(workspace["instance_type"])
    return kind if not is_local(workspace) or workspace["hourly_rate"] is not None else "local"


def is_local(workspace: Mapping[str, Any]) -> bool:
    """Whether it runs on the daemon's own computer."""
    return bool(workspace.get("region") == HERE)
