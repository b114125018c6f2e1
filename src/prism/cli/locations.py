"""Tells local workspaces from others by the fields of the API."""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

HERE = "local"


def is_local(workspace: Mapping[str, Any]) -> bool:
    """Whether it runs on the daemon's own computer."""
    return bool(workspace.get("region") == HERE)
