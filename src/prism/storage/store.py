"""The tables of volumes, attachments and snapshots, and all SQL about them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    Select,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    union,
    update,
)

from prism.access import handles
from prism.access.names import SEPARATOR, full_name
from prism.access.names import named as chosen
from prism.errors import NotFound
from prism.kit.db import Tx
from prism.kit.tables import Utc, changed_fields, leased, metadata, select_struct, structs_of
from prism.storage.model import (
    AttachedVolumes,
    Attachment,
    Snapshot,
    SnapshotNotFound,
    StorageObserved,
    StorageVerb,
    Volume,
    VolumeKind,
    VolumeNotFound,
    VolumeOrSnapshot,
)

volumes = Table(
    "volumes",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("place", String, key="location", nullable=False, index=True),
    Column("project", String, index=True),
    Column("size_gb", Integer),
    Column("volume_type", String),
    Column("iops", Integer),
    Column("throughput", Integer),
    Column("gb_month", BigInteger),
    Column("performance_month", BigInteger),
    Column("notes", JSON, nullable=False),
    Column("from_snapshot", String, index=True),
    Column("expected_id", String, index=True),
    Column("created_at", Utc, nullable=False),
    # written by requests
    Column("verb", String, nullable=False),
    Column("wish", Integer, key="generation", nullable=False),
    # written by the reconciler
    Column("seen", String, key="observed", nullable=False),
    Column("granted", Integer, key="observed_generation", nullable=False),
    Column("asked_at", Utc, key="provider_called_at"),
    Column("disk_id", String, index=True),
    Column("zone", String),
    Column("used_bytes", BigInteger),
    Column("trouble", JSON(none_as_null=True)),
    *leased("volumes"),
)
attachments = Table(
    "attachments",
    metadata,
    Column("volume", String, ForeignKey("volumes.id"), primary_key=True),
    Column("workspace", String, primary_key=True, index=True),
    Column("name", String, nullable=False),
    Column("wanted", Boolean, nullable=False),  # written by requests
    # written by the reconciler
    Column("attached", Boolean, nullable=False),
    Column("machine", String),
)
snapshots = Table(
    "snapshots",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("place", String, key="location", nullable=False, index=True),
    Column("project", String, index=True),
    Column("source", String, nullable=False),
    Column("source_id", String, nullable=False, index=True),
    Column("source_name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("size_gb", Integer),
    Column("volume_type", String),
    Column("iops", Integer),
    Column("throughput", Integer),
    Column("gb_month", BigInteger),
    Column("holds", Boolean, nullable=False),
    Column("origin", JSON(none_as_null=True)),
    Column("created_at", Utc, nullable=False),
    # written by requests
    Column("verb", String, nullable=False),
    Column("wish", Integer, key="generation", nullable=False),
    Column("verify_every", String),
    Column("verify_wish", Integer, key="verify_generation", nullable=False, server_default="0"),
    # written by the reconciler
    Column("seen", String, key="observed", nullable=False),
    Column("granted", Integer, key="observed_generation", nullable=False),
    Column("tried", Integer, key="attempted_generation", nullable=False),
    Column("one_moment", Boolean),
    Column("verify_done", Integer, key="verified_generation", nullable=False, server_default="0"),
    Column("verified_at", Utc),
    Column("verify_trouble", JSON(none_as_null=True)),
    Column("asked_at", Utc, key="provider_called_at"),
    Column("copy_id", String, index=True),
    Column("progress", Integer),
    Column("used_bytes", BigInteger),
    Column("trouble", JSON(none_as_null=True)),
    *leased("snapshots"),
)
Index("volumes_name", volumes.c.name, volumes.c.owner, unique=True)
Index("snapshots_name", snapshots.c.name, snapshots.c.owner, unique=True)
# Statements of each launch and each change of a workspace, built once: building takes longer than
# executing.
ZONES = (
    select(volumes.c.zone)
    .join(attachments, volumes.c.id == attachments.c.volume)
    .where(attachments.c.workspace == bindparam("of"), attachments.c.wanted)
    .where(volumes.c.zone.is_not(None))
    .distinct()
    .order_by(volumes.c.zone)
)
ATTACHED = (
    select(attachments.c.workspace, volumes.c.kind, volumes.c.name)
    .join(volumes, volumes.c.id == attachments.c.volume)
    .where(attachments.c.attached)
    .order_by(volumes.c.name)
)
ATTACHED_TO = ATTACHED.where(attachments.c.workspace.in_(bindparam("these", expanding=True)))
# The columns that requests write; the reconciler writes all others that change.
REQUESTED = frozenset({"verb", "generation", "verify_every", "verify_generation", "holds"})
TABLES: Mapping[type, Table] = {Volume: volumes, Snapshot: snapshots}
NAMES = {Volume: ("name", "disk_id", "expected_id"), Snapshot: ("name", "copy_id")}
LIST = {
    Volume: "Use `prism volume list` to see available volumes",
    Snapshot: "Use `prism snapshot list` to see available snapshots",
}


def every(sql: Connection, kind: type[VolumeOrSnapshot]) -> list[VolumeOrSnapshot]:
    """All volumes, or all snapshots, the oldest first."""
    return structs_of(sql, kind, _of(kind).order_by(TABLES[kind].c.id))


def every_at(
    sql: Connection, kind: type[VolumeOrSnapshot], location: str
) -> list[VolumeOrSnapshot]:
    """The volumes, or snapshots, in a location."""
    return structs_of(sql, kind, _of(kind).where(TABLES[kind].c.location == location))


def by_id(sql: Connection, kind: type[VolumeOrSnapshot], id: str) -> VolumeOrSnapshot:
    """The row with our id, which must exist."""
    [row] = structs_of(sql, kind, _of(kind).where(TABLES[kind].c.id == id))
    return row


def by_ids(
    sql: Connection, kind: type[VolumeOrSnapshot], ids: Collection[str]
) -> list[VolumeOrSnapshot]:
    """The rows with these ids that still exist."""
    return structs_of(sql, kind, _of(kind).where(TABLES[kind].c.id.in_(ids)))


def idle_in(
    sql: Connection, kind: type[VolumeOrSnapshot], locations: Collection[str]
) -> list[VolumeOrSnapshot]:
    """The rows in these locations without a lease."""
    table = TABLES[kind].c
    idle = table.location.in_(locations), table.lease.is_(None)
    return structs_of(sql, kind, _of(kind).where(*idle))


def owners(sql: Connection) -> set[str]:
    """Everybody who owns a volume or a snapshot."""
    return {*sql.execute(union(*(select(table.c.owner) for table in TABLES.values()))).scalars()}


def locations(sql: Connection, like: str) -> list[str]:
    """Every location with this prefix that has volumes or snapshots."""
    queries = [
        select(table.c.location).where(table.c.location.startswith(like, autoescape=True))
        for table in (volumes, snapshots)
    ]
    return [*sql.execute(union(*queries)).scalars()]


def find(sql: Connection, kind: type[VolumeOrSnapshot], name: str) -> VolumeOrSnapshot | None:
    """The volume, or the snapshot, that a name, a full name or an id means to the caller."""
    either = or_(*(TABLES[kind].c[column] == name for column in NAMES[kind]))
    rows = structs_of(sql, kind, _of(kind).where(either))
    if not rows and SEPARATOR in name:
        rows = _named_in_full(sql, kind, name)
    return chosen(kind.__name__.lower(), name, rows, lambda _: False, partial(_full_names, sql))


def _named_in_full(
    sql: Connection, kind: type[VolumeOrSnapshot], full: str
) -> list[VolumeOrSnapshot]:
    name, _, handle = full.rpartition(SEPARATOR)
    if (person := handles.person_of(sql, handle)) is None:
        return []
    rows = structs_of(sql, kind, _of(kind).where(TABLES[kind].c.name == name))
    return [row for row in rows if row.owner.lower() == person]


def _full_names(sql: Connection, rows: Sequence[VolumeOrSnapshot]) -> list[str]:
    known = handles.every(sql)
    return [full_name(row.name, known.get(row.owner.lower(), row.owner)) for row in rows]


def is_taken(
    sql: Connection, kind: type[Volume | Snapshot], name: str, owner: str | None = None
) -> bool:
    """Whether a volume, or a snapshot, has that name: one of `owner`, or of anybody."""
    table = TABLES[kind].c
    owners = sql.execute(select(table.owner).where(table.name == name)).scalars().all()
    return any(owner is None or other.lower() == owner.lower() for other in owners)


def named(sql: Connection, kind: type[VolumeOrSnapshot], name: str) -> VolumeOrSnapshot:
    """The volume, or the snapshot, with that name or id; raises if there is none."""
    if resource := find(sql, kind, name):
        return resource
    raise not_found(kind, name)


def not_found(kind: type[Volume | Snapshot], name: str) -> NotFound:
    """The problem if there is no volume, or snapshot, with that name or id."""
    problem = VolumeNotFound if kind is Volume else SnapshotNotFound
    return problem(f"{kind.__name__} {name!r} not found", remediation=LIST[kind])


def snapshots_of(sql: Connection, source_id: str) -> list[Snapshot]:
    """The snapshots of a volume or workspace, the oldest first."""
    query = _of(Snapshot).where(snapshots.c.source_id == source_id).order_by(snapshots.c.id)
    return structs_of(sql, Snapshot, query)


def volumes_from(sql: Connection, snapshot: str) -> list[Volume]:
    """The volumes that were restored from a snapshot."""
    return structs_of(sql, Volume, _of(Volume).where(volumes.c.from_snapshot == snapshot))


def volumes_in(sql: Connection, project: str) -> list[Volume]:
    """The volumes of a project."""
    return structs_of(sql, Volume, _of(Volume).where(volumes.c.project == project))


def count_in(sql: Connection, project: str) -> int:
    """How many volumes and snapshots belong to a project."""
    counts = (select(func.count()).where(table.c.project == project) for table in TABLES.values())
    return sum(sql.execute(query).scalar_one() for query in counts)


def add(tx: Tx, resource: Volume | Snapshot, due_at: datetime) -> None:
    """Add a row."""
    row = _row(msgspec.structs.asdict(resource))
    table = TABLES[type(resource)]
    tx.sql.execute(table.insert().values(**row, due_at=due_at, attempts=0))
    handles.give_owner(tx, resource.owner)


def change(tx: Tx, before: VolumeOrSnapshot, after: VolumeOrSnapshot, now: datetime) -> None:
    """Write what a request changes, and make the row due."""
    changed = changed_fields(before, after)
    assert changed.keys() <= REQUESTED, (
        f"{changed.keys() - REQUESTED} are written by the reconciler"
    )
    _update(tx, before, changed | {"due_at": now})


def observe(tx: Tx, before: VolumeOrSnapshot, after: VolumeOrSnapshot) -> None:
    """Write what the reconciler has observed or done."""
    changed = changed_fields(before, after)
    assert not changed.keys() & REQUESTED, f"{changed.keys() & REQUESTED} are written by requests"
    if changed:
        _update(tx, before, changed)


def _update(tx: Tx, resource: Volume | Snapshot, values: dict[str, Any]) -> None:
    table = TABLES[type(resource)]
    tx.sql.execute(update(table).where(table.c.id == resource.id).values(**_row(values)))


def make_due(tx: Tx, kind: type[Volume | Snapshot], ids: Sequence[str], now: datetime) -> None:
    """Make these rows due, unless they are due sooner or have a lease."""
    table = TABLES[kind]
    free = and_(table.c.lease.is_(None), table.c.due_at > now)
    tx.sql.execute(update(table).where(table.c.id.in_(ids), free).values(due_at=now))


def forget(tx: Tx, resource: Volume | Snapshot) -> None:
    """Delete the row; its events stay."""
    if isinstance(resource, Volume):
        tx.sql.execute(delete(attachments).where(attachments.c.volume == resource.id))
    table = TABLES[type(resource)]
    tx.sql.execute(delete(table).where(table.c.id == resource.id))


def attachments_of(sql: Connection, ids: Collection[str]) -> dict[str, list[Attachment]]:
    """The attachments of these volumes, by volume."""
    by_volume: dict[str, list[Attachment]] = {id: [] for id in ids}
    for attachment in _attachments(sql, attachments.c.volume.in_(ids)):
        by_volume[attachment.volume].append(attachment)
    return by_volume


def attachments_to(sql: Connection, workspace: str) -> list[Attachment]:
    """The attachments of a workspace."""
    return _attachments(sql, attachments.c.workspace == workspace)


def save_wanted(tx: Tx, attachment: Attachment) -> None:
    """Store whether an attachment is wanted."""
    if not _write(tx, attachment, wanted=attachment.wanted):
        tx.sql.execute(attachments.insert().values(**msgspec.structs.asdict(attachment)))


def save_machine(tx: Tx, attachment: Attachment, machine: str | None) -> None:
    """Store the machine that should get the volume; None once no machine has it any more."""
    _write(tx, attachment, machine=machine)


def save_attached(tx: Tx, attachment: Attachment) -> None:
    """Store whether the attachment was observed."""
    _write(tx, attachment, attached=attachment.attached)


def remove_attachment(tx: Tx, attachment: Attachment) -> None:
    """Delete an attachment."""
    tx.sql.execute(delete(attachments).where(_row_of(attachment)))


def zones_of(sql: Connection, workspace: str) -> list[str]:
    """The zones of a workspace's volumes; it must not have more than one."""
    return list(sql.execute(ZONES, {"of": workspace}).scalars())


def attached(
    sql: Connection, workspaces: Collection[str] | None = None
) -> dict[str, AttachedVolumes]:
    """The volumes that were observed as attached, by workspace: of these workspaces, or all."""
    query, parameters = ATTACHED, dict[str, object]()
    if workspaces is not None:
        query, parameters = ATTACHED_TO, {"these": list(workspaces)}
    by_workspace: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for workspace, kind, name in sql.execute(query, parameters):
        by_workspace[workspace][kind].append(name)
    return {
        id: AttachedVolumes(tuple(names[VolumeKind.EFS]), tuple(names[VolumeKind.EBS]))
        for id, names in by_workspace.items()
    }


def pending_backup(sql: Connection, workspace: str) -> Snapshot | None:
    """The snapshot that must be complete before a workspace is destroyed."""
    query = _of(Snapshot).where(
        *_holding(workspace), snapshots.c.observed != StorageObserved.THERE
    )
    return next(iter(structs_of(sql, Snapshot, query)), None)


def backed_up(sql: Connection, workspace: str) -> bool:
    """Whether a workspace that is being destroyed has a complete backup."""
    complete = (*_holding(workspace), snapshots.c.observed == StorageObserved.THERE)
    return sql.execute(select(snapshots.c.id).where(*complete)).first() is not None


def _holding(workspace: str) -> tuple[ColumnElement[bool], ...]:
    """The snapshots that must be complete before a workspace is destroyed."""
    s = snapshots.c
    return s.source_id == workspace, s.holds, s.verb == StorageVerb.MAKE


def _write(tx: Tx, attachment: Attachment, **values: Any) -> int:
    """Write to the row of an attachment; the number of rows."""
    write = update(attachments).where(_row_of(attachment)).values(**values)
    return tx.sql.execute(write).rowcount


def _row_of(attachment: Attachment) -> ColumnElement[bool]:
    of = attachments.c
    return and_(of.volume == attachment.volume, of.workspace == attachment.workspace)


def _of(kind: type[VolumeOrSnapshot]) -> Select[Any]:
    return select_struct(TABLES[kind], kind)


def _attachments(sql: Connection, where: Any) -> list[Attachment]:
    query = select_struct(attachments, Attachment).where(where)
    order = (attachments.c.name, attachments.c.workspace)
    return structs_of(sql, Attachment, query.order_by(*order))


def _row(values: dict[str, Any]) -> dict[str, Any]:
    return values | {
        name: msgspec.to_builtins(values[name])
        for name in ("trouble", "notes", "verify_trouble", "origin")
        if values.get(name) is not None
    }
