"""Answers about the daemon, shared by the daemon and the client."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct


class LocationStatus(Struct, frozen=True):
    """A location, and how its last survey ended; null until the first one was recorded.

    `identity` is the user or role that AWS takes the daemon for; `missing` are the permissions
    that it lacked at `checked_at`, when `/api/v1/daemon/aws` was asked last; null before that.
    """

    place: str
    provider: str
    reachable: bool | None = None
    looked_at: datetime | None = None
    problem: str | None = None
    identity: str | None = None
    missing: Sequence[str] | None = None
    checked_at: datetime | None = None


class DaemonStatus(Struct, frozen=True, kw_only=True):
    """The daemon's status, with `reasons` if degraded; counts are the last ones that were read."""

    status: Literal["healthy", "degraded"]
    version: str
    uptime: str
    api_version: str
    aws_connectivity: Literal["connected", "disconnected", "not_configured"]
    active_profiles: int
    total_instances: int
    active_instances: int
    user: str
    database: str
    places: Sequence[LocationStatus]
    reasons: Sequence[str]


class DoctorFinding(Struct, frozen=True, kw_only=True):
    """The result of one check, and how to fix a problem."""

    check: str
    level: Literal["ok", "warning", "broken", "skipped"]
    said: str
    fix: str | None = None


class Diagnosis(Struct, frozen=True, kw_only=True):
    """Every finding, in the order of the checks."""

    findings: tuple[DoctorFinding, ...]
    checked_at: datetime


class ShutdownAnswer(Struct, frozen=True):
    """The answer to a shutdown."""

    message: str
    active_operations: int
    shutdown_timeout: int


class Cleanable(Struct, frozen=True, kw_only=True):
    """One kind of unneeded files; `in_use` is kept because something uses it."""

    kind: str
    bytes: int
    items: int
    in_use: tuple[str, ...] = ()


class CleanAnswer(Struct, frozen=True, kw_only=True):
    """The removed files, or those that would be removed; `free_bytes` is the free space now."""

    dry_run: bool
    freed_bytes: int
    free_bytes: int
    kinds: tuple[Cleanable, ...]
