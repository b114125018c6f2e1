"""Distinguishes local workspaces from others by the fields of the API."""

from __future__ import annotations

from prism.annotations import Any, Mapping

HERE = "local"


def is_local(workspace: Mapping[str, Any]) -> bool:
    """Whether it runs on the daemon's own computer."""
    return bool(workspace.get("region") == HERE)
