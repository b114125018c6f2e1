"""The events of a workspace as lines of a log."""

from typing import Any

from sqlalchemy import Connection, select

from prism.kit.events import RecordedEvent
from prism.kit.journal import events

SILENT = {"workspace", "actor", "subject"}


def events_of(
    sql: Connection, name: str, workspace: str, limit: int, after: int = 0
) -> list[RecordedEvent]:
    """A workspace's events, the oldest first: the last ones, or the next ones after an event."""
    # The subject has an index. Another workspace, or a volume, may have the same name.
    is_own = events.c.subject == name, events.c.data["workspace"].as_string() == workspace
    query = select(events).where(*is_own, events.c.id > after).limit(limit)
    order = events.c.id if after else events.c.id.desc()
    page = [RecordedEvent(**row._mapping) for row in sql.execute(query.order_by(order))]
    return sorted(page, key=lambda it: it.id)


def line(event: RecordedEvent) -> str:
    """An event as a line of a log."""
    pairs = [f"{k}={_plain(v)}" for k, v in event.data.items() if not (k in SILENT or v is None)]
    at = f"{event.at:%Y-%m-%dT%H:%M:%SZ}"
    return " ".join((at, event.event, *pairs, f"by={event.actor}"))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(str(item) for item in value.values())
    return str(value)
