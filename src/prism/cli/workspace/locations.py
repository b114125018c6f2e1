"""Distinguishes local workspaces from others by the fields of the API."""

from __future__ import annotations

from prism.annotations import Any, Mapping
from prism.profiles.providers import LAB_SERVER, LOCAL


def machine_type(workspace: Mapping[str, Any]) -> str:
    """The type of its machine; a workspace of the daemon's computer has one if it has a price."""
    kind = str(workspace["instance_type"])
    return kind if machine_words(workspace) == kind else LOCAL


def machine_words(answer: Mapping[str, Any]) -> str:
    """The machine in words; an older daemon knows only its type."""
    return str(answer.get("machine", answer["instance_type"]))


def is_local_place(place: Mapping[str, Any]) -> bool:
    """Whether a location is the daemon's own computer."""
    return bool(place["provider"] == LOCAL)


def is_local(workspace: Mapping[str, Any]) -> bool:
    """Whether it runs on the daemon's own computer."""
    return bool(workspace.get("region") == LOCAL)


def is_server_place(place: Mapping[str, Any]) -> bool:
    """Whether a location is a lab server."""
    return bool(place["provider"] == LAB_SERVER)
