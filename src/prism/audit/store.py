"""Reading the facts, the newest first; also those that streams have forgotten."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, Subquery, select, union_all

from prism.audit.model import Wanted
from prism.kit.events import RESYNC, Recorded
from prism.kit.journal import archive, facts

PAGE = 500
BOTH = union_all(*(select(*table.columns) for table in (facts, archive))).subquery("both_logs")


def page(sql: Connection, wanted: Wanted, below: int | None) -> list[Recorded]:
    """The next page of those that fit, of those with an id below that."""
    query = select(BOTH).where(BOTH.c.event != RESYNC, *_fits(BOTH, wanted))
    if below is not None:
        query = query.where(BOTH.c.id < below)
    rows = sql.execute(query.order_by(BOTH.c.id.desc()).limit(PAGE))
    return [Recorded(**row._mapping) for row in rows]


def _fits(both: Subquery, wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    for name in ("actor", "subject", "event"):
        if (value := getattr(wanted, name)) is not None:
            yield both.c[name] == value
    if wanted.since is not None:
        yield both.c.at >= wanted.since
    if wanted.until is not None:
        yield both.c.at < wanted.until
