"""The events of a workspace as lines of a log."""

from typing import Any

from sqlalchemy import Connection, select

from prism.kit.events import Recorded
from prism.kit.journal import facts

SILENT = {"workspace", "actor", "subject"}


def events_of(
    sql: Connection, name: str, workspace: str, limit: int, after: int = 0
) -> list[Recorded]:
    """A workspace's events, the oldest first: the last ones, or the next ones after an event."""
    query = select(facts).where(facts.c.subject == name, facts.c.id > after).limit(limit)
    order = facts.c.id if after else facts.c.id.desc()
    events = [Recorded(**row._mapping) for row in sql.execute(query.order_by(order))]
    own_events = (recorded for recorded in events if recorded.data.get("workspace") == workspace)
    return sorted(own_events, key=lambda it: it.id)


def line(fact: Recorded) -> str:
    """An event as a line of a log."""
    pairs = [f"{k}={_plain(v)}" for k, v in fact.data.items() if k not in SILENT and v is not None]
    at = f"{fact.at:%Y-%m-%dT%H:%M:%SZ}"
    return " ".join((at, fact.event, *pairs, f"by={fact.actor}"))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(str(item) for item in value.values())
    return str(value)
