"""The table of visits, and all SQL about it."""

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import Column, Connection, Index, String, Table, delete, select, update

from prism.kit.db import Tx
from prism.kit.reconcile import NEVER_DUE
from prism.kit.tables import Utc, leased, metadata, select_struct, structs_of
from prism.visits.model import MOST_VISITS_SHOWN, VISIT_HISTORY, VISIT_PAUSE, Visit, WayIn
from prism.workspaces.model import Workspace
from prism.workspaces.store import by_ids

visits = Table(
    "visits",
    metadata,
    Column("id", String, primary_key=True),
    Column("workspace", String, nullable=False),
    Column("person", String, nullable=False),
    Column("way", String, nullable=False),
    Column("began_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Index("visits_of", "workspace", "ended_at"),
    *leased("visits"),
)
SELECT_VISITS = select_struct(visits, Visit)


def find(sql: Connection, id: str) -> Visit | None:
    """The visit with that id, if there is one."""
    return next(iter(structs_of(sql, Visit, SELECT_VISITS.where(visits.c.id == id))), None)


def open_visit(sql: Connection, workspace: str, person: str, way: WayIn) -> Visit | None:
    """The visit of a person by a way that lasts."""
    v = visits.c
    query = SELECT_VISITS.where(
        v.workspace == workspace, v.person == person, v.way == way, v.ended_at.is_(None)
    )
    return next(iter(structs_of(sql, Visit, query)), None)


def of_workspace(sql: Connection, workspace: str) -> list[Visit]:
    """The newest visits to a workspace; those that last come first."""
    v = visits.c
    query = SELECT_VISITS.where(v.workspace == workspace)
    query = query.order_by(v.ended_at.is_not(None), v.began_at.desc(), v.id.desc())
    return structs_of(sql, Visit, query.limit(MOST_VISITS_SHOWN))


def add(tx: Tx, visit: Visit) -> None:
    """Add a visit, and forget those that ended long ago."""
    old = visits.c.ended_at < visit.began_at - VISIT_HISTORY
    tx.sql.execute(delete(visits).where(old))
    due_at = visit.last_at + VISIT_PAUSE
    tx.sql.execute(visits.insert().values(**msgspec.structs.asdict(visit), due_at=due_at))


def touch(tx: Tx, ids: Collection[str], at: datetime) -> None:
    """Record that these visits still last."""
    row = update(visits).where(visits.c.id.in_(ids), visits.c.ended_at.is_(None))
    tx.sql.execute(row.values(last_at=at))


def end(tx: Tx, id: str, at: datetime) -> bool:
    """End a visit; False if it had ended before."""
    row = update(visits).where(visits.c.id == id, visits.c.ended_at.is_(None))
    return bool(tx.sql.execute(row.values(ended_at=at, due_at=NEVER_DUE)).rowcount)


def workspace_of(sql: Connection, visit: Visit) -> Workspace | None:
    """The workspace of a visit, if there is still a row of it."""
    return next(iter(by_ids(sql, [visit.workspace])), None)


def lasting(sql: Connection) -> list[str]:
    """The ids of visits that last."""
    return [*sql.execute(select(visits.c.id).where(visits.c.ended_at.is_(None))).scalars()]
