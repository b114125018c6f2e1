"""An entry of the audit log, and what one may ask of it."""

from datetime import datetime
from typing import Any

from msgspec import Struct

LIMIT, MOST = 100, 1000


class AuditEntry(Struct, frozen=True, kw_only=True):
    """Something that was done: by whom, to what, and what changed; null where nothing was."""

    id: str
    at: datetime
    actor: str
    event: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    data: dict[str, Any]


class AuditQuery(Struct, frozen=True, kw_only=True):
    """Which entries; what is not given fits all."""

    actor: str | None = None
    subject: str | None = None
    event: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before_id: int | None = None
    limit: int = LIMIT


class AuditReader(Struct, frozen=True):
    """Somebody who may read a part of it: her name in lower case, and her projects."""

    name: str
    projects: tuple[str, ...]
