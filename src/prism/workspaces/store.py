"""The workspaces table, and all of its SQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    Select,
    String,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from prism.access import handles
from prism.access.model import current
from prism.access.names import SEPARATOR, full_name
from prism.access.names import named as chosen
from prism.kit.db import Tx
from prism.kit.reconcile import NEVER_DUE
from prism.kit.tables import Utc, changed_fields, leased, metadata, partial_index
from prism.templates.model import Template
from prism.workspaces.model import (
    LifecycleVerb,
    NameTaken,
    PricedKind,
    Workspace,
    WorkspaceNotFound,
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("owner", String, nullable=False),
    Column("profile", String, nullable=False),
    Column("place", String, key="location", nullable=False, index=True),
    Column("template", String, nullable=False),
    Column("recipe", JSON, key="resolved_template", nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("instance_type", String, nullable=False),
    Column("region", String, nullable=False),
    Column("expected_id", String, index=True),
    Column("spot", Boolean, nullable=False),
    Column("open_ports", Boolean, nullable=False, server_default=false()),
    Column("unlimited", Boolean, nullable=False, server_default=false()),
    Column("hourly_rate", BigInteger),
    Column("price_source", String),
    Column("hibernation", Boolean, nullable=False),
    Column("root_gb", Integer, nullable=False),
    Column("root_type", String, nullable=False),
    Column("project", String, index=True),
    Column("project_name", String),
    Column("allocation", String),
    Column("pool", String),
    Column("budget", String),
    Column("idle_profile", String),
    Column("launched_at", Utc, nullable=False),
    # written by requests
    Column("launched_by", String, index=True),
    Column("verb", String, nullable=False),
    Column("wish", Integer, key="generation", nullable=False),
    Column("wished_at", Utc, key="requested_at", nullable=False),
    Column("requested_by", String, nullable=False, server_default=""),
    Column("request_reason", String),
    Column("expires_at", Utc),
    Column("restart", Boolean, nullable=False, server_default=false()),
    Column("restarting", Boolean, nullable=False, server_default=false()),
    Column("template_reread", Boolean, nullable=False, server_default=false()),
    Column("rollback_to", String),
    Column("rollback_backup", String),
    Column("reserved_until", Utc),
    Column("facts_version", Integer, key="metadata_version", nullable=False, server_default="0"),
    # written by the reconciler
    Column("seen", String, key="observed", nullable=False),
    Column("granted", Integer, key="observed_generation", nullable=False),
    Column("tried", Integer, key="attempted_generation", nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("asked_at", Utc, key="provider_called_at"),
    Column("told_type", String, key="observed_type"),
    Column("told_expiry", Utc, key="applied_expiry"),
    Column(
        "told_version", Integer, key="applied_metadata_version", nullable=False, server_default="0"
    ),
    Column("ended_at", Utc),
    Column("ready_at", Utc),
    Column("machine_id", String, index=True),
    Column("public_ip", String),
    Column("private_ip", String),
    Column("stage", String),
    Column("progress", Integer, nullable=False),
    Column("charged", Boolean, nullable=False, server_default=false()),
    Column("hibernated_at", Utc),
    Column("failure", JSON(none_as_null=True)),
    *leased("workspaces"),
)
FIELDS = Workspace.__struct_fields__
# JSON columns are read as text: many workspaces share a template, whose text is decoded once.
TEXTS = {
    name: cast(workspaces.c[name], Text).label(name)
    for name in ("resolved_template", "parameters", "failure")
}
SELECT_WORKSPACES = select(*(TEXTS.get(field, workspaces.c[field]) for field in FIELDS))
LIVE = workspaces.c.ended_at.is_(None)
# Statements of each launch and each verb, built once: building takes longer than executing.
TAKEN = select(workspaces.c.owner).where(workspaces.c.name == bindparam("of"), LIVE)
CALLED = tuple(workspaces.c[key] for key in ("name", "id", "machine_id", "expected_id"))
NEWEST_FIRST = (~LIVE, workspaces.c.launched_at.desc(), workspaces.c.id.desc())
BY_NAME = SELECT_WORKSPACES.where(or_(*(column == bindparam("of") for column in CALLED))).order_by(
    *NEWEST_FIRST
)
FIRST_BY_NAME = BY_NAME.limit(2)
BY_ID = SELECT_WORKSPACES.where(workspaces.c.id == bindparam("of"))
BY_IDS = SELECT_WORKSPACES.where(workspaces.c.id.in_(bindparam("ids", expanding=True)))
_PRICED = [workspaces.c[name] for name in PricedKind.__struct_fields__]
PRICED = select(*_PRICED).where(LIVE).distinct()
PRICED_SO = select(workspaces.c.id).where(
    LIVE, *(column.is_not_distinct_from(bindparam(column.name)) for column in _PRICED)
)
WRITE = update(workspaces).where(workspaces.c.id == bindparam("of"))
# A name is free again once its workspace is terminated.
_OWNERS_NAME = (workspaces.c.owner, workspaces.c.name)
partial_index("workspaces_live_name", *_OWNERS_NAME, where=LIVE, unique=True)

bring_ups = Table(
    "bring_ups",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("template", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("verb", String, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("at", Utc, nullable=False),
    Index("bring_ups_of", "template", "provider", "verb"),
)
# `REQUESTED`: the columns that requests write, among them the metadata of the machine, and those
# that need no step of the reconciler. The reconciler writes all other columns (`OBSERVED`), so
# neither side overwrites a change that it has not read (docs/decisions/002).
METADATA = frozenset(
    {"project_name", "allocation", "budget", "idle_profile", "expires_at", "owner"}
)
NO_STEP = frozenset(
    {"hourly_rate", "price_source", "restart", "restarting"}
    | {"resolved_template", "parameters", "template_reread"}
)
REQUESTED = (
    METADATA
    | NO_STEP
    | {"verb", "generation", "requested_at", "requested_by", "request_reason"}
    | {"reserved_until", "metadata_version"}
    | {"instance_type", "project", "pool", "launched_by"}
    | {"rollback_to", "rollback_backup"}
)
OBSERVED = frozenset(
    {
        "observed",
        "observed_generation",
        "attempted_generation",
        "attempt",
        "provider_called_at",
        "machine_id",
        "public_ip",
        "private_ip",
    }
    | {
        "observed_type",
        "applied_expiry",
        "applied_metadata_version",
        "ready_at",
        "ended_at",
        "hibernated_at",
    }
    | {"stage", "progress", "charged", "failure"}
)
ROWS_AT_ONCE = 64  # rows: few enough for their objects to stay in the processor's cache
RECENT = 20  # starts that an estimate is based on
ADD, ADD_BRING_UP = insert(workspaces), insert(bring_ups)
OF = ("template", "provider", "verb")
ALIKE = and_(*(bring_ups.c[name] == bindparam(f"of_{name}") for name in OF))
NEWEST = bring_ups.c.id.desc()
NEWEST_SECONDS = select(bring_ups.c.seconds).where(ALIKE).order_by(NEWEST).limit(RECENT)
LATEST = select(bring_ups.c.id).where(ALIKE).order_by(NEWEST).limit(RECENT)
FORGET_OLDER = delete(bring_ups).where(ALIKE, bring_ups.c.id.not_in(LATEST))


def add(tx: Tx, workspace: Workspace, due_at: datetime) -> None:
    """Add the row of a new workspace."""
    row = _row(msgspec.structs.asdict(workspace))
    try:
        tx.sql.execute(ADD, {**row, "due_at": due_at, "attempts": 0})
    except IntegrityError as error:
        raise name_taken(workspace.name) from error
    handles.give_owner(tx, workspace.owner)


def is_taken(sql: Connection, name: str, owner: str) -> bool:
    """Whether a workspace of the owner that has not ended has that name.

    In local mode, whoever owns it: there is one person, whose address may change.
    """
    if not current().team:
        return sql.execute(TAKEN, {"of": name}).first() is not None
    return has_of_that_name(sql, name, owner)


def has_of_that_name(sql: Connection, name: str, owner: str) -> bool:
    """Whether the owner has a workspace of that name that has not ended."""
    owners = sql.execute(TAKEN, {"of": name}).scalars()
    return owner.lower() in {other.lower() for other in owners}


def name_taken(name: str) -> NameTaken:
    """The problem if its owner has a workspace of that name."""
    return NameTaken(
        f"A workspace called {name!r} already exists",
        details="a name is free again once its workspace is terminated",
        remediation=f"Look at it with `prism workspace show {name}`",
    )


def every(sql: Connection) -> list[Workspace]:
    """All workspaces, in the order of their launch."""
    return _many(sql, SELECT_WORKSPACES.order_by(workspaces.c.id))


def owners(sql: Connection) -> set[str]:
    """Everybody who owns a workspace."""
    return {*sql.execute(select(workspaces.c.owner).distinct()).scalars()}


def locations(sql: Connection, like: str, *, living: bool = False) -> list[tuple[str, str]]:
    """The locations with this prefix that have workspaces, and the profiles of these."""
    query = select(workspaces.c.location, workspaces.c.profile).distinct()
    if living:
        query = query.where(LIVE)
    rows = sql.execute(query.where(workspaces.c.location.startswith(like, autoescape=True)))
    return [(location, profile) for location, profile in rows]


def priced(sql: Connection) -> list[PricedKind]:
    """The hourly prices of living workspaces, once for each kind."""
    return [PricedKind(*row) for row in sql.execute(PRICED)]


def priced_so(sql: Connection, of: PricedKind) -> list[str]:
    """The living workspaces of a kind."""
    return list(sql.execute(PRICED_SO, msgspec.structs.asdict(of)).scalars())


def living_of(sql: Connection, profile: str) -> int:
    """How many living workspaces were launched with this profile."""
    query = select(func.count()).where(workspaces.c.profile == profile, LIVE)
    return int(sql.execute(query).scalar_one())


def named(sql: Connection, name: str) -> Workspace:
    """The workspace that a name, a full name or an id means to the caller.

    A terminated one only if there is no other.
    """
    team = current().team
    rows = _many(sql, BY_NAME if team else FIRST_BY_NAME, {"of": name})
    if not team and len(rows) > 1 and rows[1].ended_at is None:  # of several people, once
        rows = _many(sql, BY_NAME, {"of": name})
    if not rows and SEPARATOR in name:
        rows = _named_in_full(sql, name)
    workspace = chosen("workspace", name, rows, has_ended, partial(_full_names, sql))
    if workspace is None:
        raise not_found(name)
    return workspace


def has_ended(workspace: Workspace) -> bool:
    """Whether a workspace was terminated."""
    return workspace.ended_at is not None


def _named_in_full(sql: Connection, full: str) -> list[Workspace]:
    name, _, handle = full.rpartition(SEPARATOR)
    person = handles.person_of(sql, handle)
    rows = _many(sql, BY_NAME, {"of": name}) if person is not None else []
    return [row for row in rows if row.name == name and row.owner.lower() == person]


def _full_names(sql: Connection, rows: Sequence[Workspace]) -> list[str]:
    known = handles.every(sql)
    return [full_name(row.name, known.get(row.owner.lower(), row.owner)) for row in rows]


def not_found(name: str) -> WorkspaceNotFound:
    """The problem if there is no workspace with that name or id."""
    return WorkspaceNotFound(
        f"Workspace {name!r} not found",
        details="Check the workspace name",
        remediation="Use `prism workspace list` to see available workspaces",
    )


def names_in(sql: Connection, project: str) -> list[str]:
    """The names of a project's workspaces that are not terminated."""
    query = select(workspaces.c.name).where(workspaces.c.project == project)
    return [*sql.scalars(query.where(LIVE).order_by(workspaces.c.name))]


def by_id(sql: Connection, id: str) -> Workspace:
    """The workspace with our id; the row must exist."""
    return _many(sql, BY_ID, {"of": id})[0]


def by_ids(sql: Connection, ids: Collection[str]) -> list[Workspace]:
    """The workspaces with these ids that still exist."""
    return _many(sql, BY_IDS, {"ids": list(ids)})


def on_machines(sql: Connection, machines: Collection[str]) -> list[Workspace]:
    """The living workspaces on these machines."""
    columns = (workspaces.c.machine_id, workspaces.c.expected_id)
    return _many(
        sql, SELECT_WORKSPACES.where(or_(*(column.in_(machines) for column in columns)), LIVE)
    )


def change(tx: Tx, before: Workspace, after: Workspace, now: datetime) -> Workspace:
    """Write what a request changes; the row becomes due if the change concerns its machine."""
    changed = changed_fields(before, after)
    assert changed.keys() <= REQUESTED, (
        f"{changed.keys() - REQUESTED} are written by the reconciler"
    )
    if changed.keys() & METADATA:
        after = replace(after, metadata_version=before.metadata_version + 1)
        changed["metadata_version"] = after.metadata_version
    due = {"due_at": now} if changed.keys() - NO_STEP else {}
    if changed:
        _write(tx, before.id, {**_row(changed), **due})
    if "owner" in changed:
        handles.give_owner(tx, after.owner)
    return after


def all_in(sql: Connection, project: str) -> list[Workspace]:
    """The workspaces of a project, including those that have ended."""
    return _many(sql, SELECT_WORKSPACES.where(workspaces.c.project == project))


def living_in(sql: Connection, project: str) -> list[Workspace]:
    """The workspaces of a project that have not ended."""
    return _many(sql, SELECT_WORKSPACES.where(workspaces.c.project == project, LIVE))


def living_at(sql: Connection, location: str) -> list[Workspace]:
    """The workspaces in a location that have not ended."""
    return _many(sql, SELECT_WORKSPACES.where(workspaces.c.location == location, LIVE))


def make_due(tx: Tx, ids: Sequence[str], now: datetime) -> None:
    """Make these rows due, unless they are due sooner or have a lease."""
    free = and_(workspaces.c.lease.is_(None), workspaces.c.due_at > now)
    tx.sql.execute(update(workspaces).where(workspaces.c.id.in_(ids), free).values(due_at=now))


def resend_expiries(tx: Tx, now: datetime) -> None:
    """Make the reconciler send each machine's expiry again; `NEVER_DUE` stands for no expiry."""
    living = and_(workspaces.c.machine_id.is_not(None), LIVE)
    tx.sql.execute(update(workspaces).where(living).values(applied_expiry=NEVER_DUE, due_at=now))


def observe(tx: Tx, before: Workspace, after: Workspace) -> Workspace:
    """Write what the reconciler has observed or done."""
    changed = changed_fields(before, after)
    assert changed.keys() <= OBSERVED, f"{changed.keys() - OBSERVED} are written by requests"
    if changed:
        _write(tx, before.id, _row(changed))
    return after


def forget(tx: Tx, id: str) -> None:
    """Delete the row; its events stay."""
    tx.rows.pop(id, None)
    tx.sql.execute(delete(workspaces).where(workspaces.c.id == id))


def record_bring_up(tx: Tx, workspace: Workspace, provider: str, at: datetime) -> None:
    """Store the time from the request until the machine ran; keeps the last few of each kind."""
    seconds = (at - workspace.requested_at).total_seconds()
    of = {"template": workspace.template, "provider": provider, "verb": workspace.verb}
    tx.sql.execute(ADD_BRING_UP, {**of, "seconds": seconds, "at": at})
    tx.sql.execute(FORGET_OLDER, {f"of_{name}": value for name, value in of.items()})


def usual_seconds(
    sql: Connection, template: str, provider: str, verb: LifecycleVerb
) -> float | None:
    """The median of the last start times of this kind, in seconds; None without any."""
    from statistics import median  # noqa: PLC0415  cold start

    of = {"of_template": template, "of_provider": provider, "of_verb": verb}
    took = sql.execute(NEWEST_SECONDS, of).scalars().all()
    return median(took) if took else None


def _write(tx: Tx, id: str, values: dict[str, Any]) -> None:
    tx.sql.execute(WRITE, {**values, "of": id})


def _row(values: dict[str, Any]) -> dict[str, Any]:
    structs = {name for name in ("resolved_template", "failure") if values.get(name) is not None}
    return values | {name: msgspec.to_builtins(values[name]) for name in structs}


def _many(
    sql: Connection, query: Select[Any], parameters: Mapping[str, Any] | None = None
) -> list[Workspace]:
    loaded: list[Workspace] = []
    for part in sql.execute(query, parameters).partitions(ROWS_AT_ONCE):
        rows = [dict(zip(FIELDS, row, strict=True)) for row in part]
        for row in rows:
            row["resolved_template"] = _template(row["resolved_template"])
            row["parameters"] = msgspec.json.decode(row["parameters"])
            row["failure"] = row["failure"] and msgspec.json.decode(row["failure"])
        loaded += msgspec.convert(rows, list[Workspace])
    return loaded


@lru_cache(maxsize=256)
def _template(text: str) -> Template:
    return msgspec.json.decode(text, type=Template)
