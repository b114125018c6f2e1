"""Kinds of logs, and answers about them."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from prism.workspaces.model import WorkspaceState

LogType = Literal["console", "cloud-init", "system", "application"]
"""The output of the machine, of its setup, its events, and the output of its services."""
LOG_TYPES: tuple[LogType, ...] = ("console", "cloud-init", "system", "application")


class LogSource(Struct, frozen=True, kw_only=True):
    """A workspace, and whether its machine has logs."""

    name: str
    id: str | None
    state: WorkspaceState
    logs_available: bool


class LogSourceList(Struct, frozen=True, kw_only=True):
    """Every workspace, and the kinds of logs there are."""

    instances: tuple[LogSource, ...]
    available_log_types: tuple[LogType, ...] = LOG_TYPES


class LogTypeList(Struct, frozen=True, kw_only=True):
    """The kinds of logs that a workspace has."""

    instance_name: str
    instance_id: str | None
    available_log_types: tuple[LogType, ...]


class LogLines(Struct, frozen=True, kw_only=True):
    """The last lines of a log; `tail` is how many were asked for."""

    instance_name: str
    instance_id: str | None
    log_type: LogType
    lines: tuple[str, ...]
    timestamp: datetime
    tail: int
