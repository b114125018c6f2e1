"""The tables of copies and their schedules, and all SQL about them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    String,
    Table,
    delete,
    select,
    update,
)

from prism.copies.model import (
    CopyNotFound,
    CopySchedule,
    CopyScheduleNotFound,
    CopyState,
    SnapshotCopy,
)
from prism.kit.db import Tx
from prism.kit.tables import Utc, changed_fields, leased, metadata, select_struct, structs_of

CopyRow = TypeVar("CopyRow", SnapshotCopy, CopySchedule)
copies = Table(
    "snapshot_copies",
    metadata,
    Column("id", String, primary_key=True),
    Column("snapshot", String, nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("source", String, nullable=False),
    Column("source_name", String, nullable=False),
    Column("location", String, nullable=False),
    Column("project", String),
    Column("owner", String, nullable=False),
    Column("destination", String, nullable=False),
    Column("profile", String),
    Column("verify", String, nullable=False),
    Column("schedule", String, index=True),
    Column("keep", Integer),
    Column("created_at", Utc, nullable=False),
    # written by the reconciler
    Column("state", String, nullable=False),
    Column("begun", Boolean, nullable=False),
    Column("progress", Integer),
    Column("total_bytes", BigInteger),
    Column("added_bytes", BigInteger),
    Column("remote_id", String),
    Column("same_disk", Boolean),
    Column("ended_at", Utc),
    Column("verified_at", Utc),
    Column("trouble", JSON(none_as_null=True)),
    *leased("snapshot_copies"),
)
schedules = Table(
    "copy_schedules",
    metadata,
    Column("id", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("source_id", String, nullable=False, index=True),
    Column("source_name", String, nullable=False),
    Column("location", String, nullable=False),
    Column("project", String),
    Column("owner", String, nullable=False),
    Column("destination", String, nullable=False),
    Column("profile", String),
    Column("every", String, nullable=False),
    Column("keep", Integer, nullable=False),
    Column("verify", String, nullable=False),
    Column("created_at", Utc, nullable=False),
    # written by the reconciler
    Column("begun_at", Utc),
    Column("snapshot", String),
    Column("previous", String),
    Column("copy", String),
    Column("is_running", Boolean, nullable=False),
    Column("succeeded_at", Utc),
    Column("trouble", JSON(none_as_null=True)),
    *leased("copy_schedules"),
)
TABLES: dict[type, Table] = {SnapshotCopy: copies, CopySchedule: schedules}


def every(sql: Connection, kind: type[CopyRow]) -> list[CopyRow]:
    """All copies, or all schedules, the oldest first."""
    return structs_of(sql, kind, select_struct(TABLES[kind], kind).order_by(TABLES[kind].c.id))


def find(sql: Connection, kind: type[CopyRow], id: str) -> CopyRow | None:
    """The copy, or the schedule, with this id."""
    query = select_struct(TABLES[kind], kind).where(TABLES[kind].c.id == id)
    return next(iter(structs_of(sql, kind, query)), None)


def get(sql: Connection, kind: type[CopyRow], id: str) -> CopyRow:
    """The copy, or the schedule, with this id; raises if there is none."""
    if (row := find(sql, kind, id)) is not None:
        return row
    if kind is SnapshotCopy:
        raise CopyNotFound(remediation="Use `prism snapshot copies` to see them")
    raise CopyScheduleNotFound(remediation="Use `prism snapshot schedules` to see them")


def copies_of(sql: Connection, snapshot: str, destination: str) -> list[SnapshotCopy]:
    """The copies of a snapshot at a destination, the oldest first."""
    c = copies.c
    query = select_struct(copies, SnapshotCopy).order_by(c.id)
    return structs_of(
        sql,
        SnapshotCopy,
        query.where(c.snapshot == snapshot, c.destination == destination),
    )


def is_known(sql: Connection, destination: str) -> bool:
    """Whether a copy was completed at a destination."""
    c = copies.c
    query = select(c.id).where(c.destination == destination, c.state == CopyState.COMPLETED)
    return sql.execute(query.limit(1)).first() is not None


def schedules_of(sql: Connection, source_id: str, destination: str) -> list[CopySchedule]:
    """The schedules of a volume or workspace at a destination."""
    c = schedules.c
    query = select_struct(schedules, CopySchedule)
    return structs_of(
        sql,
        CopySchedule,
        query.where(c.source_id == source_id, c.destination == destination),
    )


def add(tx: Tx, row: SnapshotCopy | CopySchedule, due_at: datetime) -> None:
    """Add a copy or a schedule."""
    values = _row(msgspec.structs.asdict(row))
    tx.sql.execute(TABLES[type(row)].insert().values(**values, due_at=due_at, attempts=0))


def observe(tx: Tx, before: CopyRow, after: CopyRow) -> None:
    """Write what the reconciler has observed or done."""
    table = TABLES[type(before)]
    if changed := changed_fields(before, after):
        tx.sql.execute(update(table).where(table.c.id == before.id).values(**_row(changed)))


def remove(tx: Tx, kind: type[CopyRow], id: str) -> None:
    """Delete a row."""
    table = TABLES[kind]
    tx.sql.execute(delete(table).where(table.c.id == id))


def remove_ended(
    tx: Tx, schedule: str, remaining: Collection[str] | None, except_for: str
) -> None:
    """Delete the rows of a schedule that failed, or whose copies are not there any more."""
    c = copies.c
    gone = c.state == CopyState.FAILED
    if remaining is not None:
        gone |= (c.state == CopyState.COMPLETED) & c.remote_id.not_in(remaining)
    tx.sql.execute(delete(copies).where(c.schedule == schedule, c.id != except_for, gone))


def _row(values: dict[str, Any]) -> dict[str, Any]:
    trouble = values.get("trouble")
    return values if trouble is None else values | {"trouble": msgspec.to_builtins(trouble)}
