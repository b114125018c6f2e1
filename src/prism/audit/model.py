"""Entries of the audit log, and queries."""

from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct

DEFAULT_ENTRIES, MAX_ENTRIES = 100, 1000


class AuditEntry(Struct, frozen=True, kw_only=True):
    """An action: who did it, to what, and what changed; null if nothing changed."""

    id: str
    at: datetime
    actor: str
    event: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    data: dict[str, Any]


class AuditQuery(Struct, frozen=True, kw_only=True):
    """The filters of a query; None fits all."""

    actor: str | None = None
    subject: str | None = None
    event: str | None = None
    workspace: str | None = None
    """The id of a workspace, if `subject` is its name."""
    since: datetime | None = None
    until: datetime | None = None
    cursor: str | None = None
    limit: int = DEFAULT_ENTRIES


class AuditedWorkspace(NamedTuple):
    """A workspace whose events are read."""

    id: str
    name: str
    launched_at: datetime


class AuditReader(Struct, frozen=True):
    """A user who may read a part of the log: the name in lower case, and the projects."""

    name: str
    projects: tuple[str, ...]
