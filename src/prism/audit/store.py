"""Reads events for the audit log, the newest first; also those too old for streams."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, Subquery, and_, func, or_, select, union_all

from prism.access.visibility import PROJECTS
from prism.audit.model import AuditQuery, AuditReader
from prism.kit.events import RESYNC, RecordedEvent
from prism.kit.journal import archive, events

ENTRIES_AT_ONCE = 500
BOTH = union_all(*(select(*table.columns) for table in (events, archive))).subquery("both_logs")


def page(
    sql: Connection, filters: AuditQuery, reader: AuditReader | None, ids: range
) -> list[RecordedEvent]:
    """The next page of matching events with these ids that the reader may be able to see."""
    inside = (BOTH.c.id >= ids.start, BOTH.c.id < ids.stop)
    query = select(BOTH).where(*inside, BOTH.c.event != RESYNC, *_fits(BOTH, filters))
    if reader is not None:
        query = query.where(_concerns(reader))
    rows = sql.execute(query.order_by(BOTH.c.id.desc()).limit(ENTRIES_AT_ONCE))
    return [RecordedEvent(**row._mapping) for row in rows]


def _concerns(reader: AuditReader) -> ColumnElement[bool]:
    """Events that the reader may see; events without a project are checked later."""
    data = BOTH.c.data
    project, *other_projects = (data[name].as_string() for name in PROJECTS)
    return or_(
        func.lower(BOTH.c.actor) == reader.name,
        project.in_(reader.projects),
        *(other.in_(reader.projects) for other in other_projects),
        data["user"].as_string() == reader.name,
        and_(project.is_(None), data["workspace"].as_string().is_not(None)),
    )


def _fits(both: Subquery, filters: AuditQuery) -> Iterator[ColumnElement[bool]]:
    for name in ("actor", "subject", "event"):
        if (value := getattr(filters, name)) is not None:
            yield both.c[name] == value
    if filters.workspace is not None:  # of several people with a workspace of that name
        workspace = both.c.data["workspace"].as_string()
        yield or_(workspace.is_(None), workspace == filters.workspace)
    if filters.since is not None:
        yield both.c.at >= filters.since
    if filters.until is not None:
        yield both.c.at < filters.until
