"""The tables of idle profiles, rules and actions, and all SQL about them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    String,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from prism.idle.model import (
    MEASURED,
    ActivityStep,
    FigureSum,
    IdleProfile,
    TriggeredAction,
    WatchedWorkspace,
)
from prism.kit.db import Tx
from prism.kit.tables import Utc, leased, metadata, select_struct, structs_of

profiles = Table(
    "idle_profiles",
    metadata,
    Column("name", String, primary_key=True),
    Column("description", String, nullable=False),
    Column("idle_threshold_minutes", Integer, nullable=False),
    Column("action", String, nullable=False),
    Column("cpu_threshold", Float),
    Column("memory_threshold", Float),
    Column("network_threshold", BigInteger),
    Column("disk_threshold", BigInteger),
    Column("gpu_threshold", Float),
)
watches = Table(
    "idle_watches",
    metadata,
    Column("id", String, primary_key=True),  # the workspace's own
    Column("place", String, key="location", nullable=False),
    Column("machine", String),
    Column("profile", String, index=True),
    Column("enabled", Boolean, nullable=False),
    Column("custom_minutes", Integer),
    Column("awake_until", Utc),
    Column("told", String),
    *leased("idle_watches"),
)
history = Table(
    "idle_history",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("workspace", String, nullable=False),
    Column("instance_name", String, nullable=False),
    Column("action", String, nullable=False),
    Column("trigger_time", Utc, nullable=False, index=True),
    Column("seconds", Integer, nullable=False),
    Column("profile", String, nullable=False),
    Column("rate", BigInteger),
    Column("note", String),
    Column("woken_at", Utc),
    UniqueConstraint("workspace", "trigger_time"),
)
measurements = Table(  # by hours since 1970
    "measurements",
    metadata,
    Column("workspace", String, primary_key=True),
    Column("hour", Integer, primary_key=True, index=True),
    Column("instance_type", String, nullable=False),  # its type in that hour
    Column("until", BigInteger, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("idle_seconds", Integer, nullable=False),
    *(
        Column(f"{figure}_{part}", kind, nullable=False)
        for figure in MEASURED
        for part, kind in (("seconds", Integer), ("sum", Float), ("max", Float))
    ),
)
activity_steps = Table(  # by steps of ten minutes since 1970
    "activity_steps",
    metadata,
    Column("workspace", String, primary_key=True),
    Column("number", Integer, primary_key=True, index=True),
    Column("step", String, nullable=False),  # an ActivityStep as JSON
)
PROFILE_QUERY = select_struct(profiles, IdleProfile)
WATCHED = select_struct(watches, WatchedWorkspace)
# Statements of each launch and each verb, built once: building takes longer than executing.
WATCHED_BY_ID = WATCHED.where(watches.c.id == bindparam("of"))
ADD_WATCH, CHANGE_WATCH = insert(watches), update(watches).where(watches.c.id == bindparam("of"))
END_WATCH = delete(watches).where(watches.c.id == bindparam("of"))
WAKE = update(history).where(history.c.workspace == bindparam("of"), history.c.woken_at.is_(None))
PAST = select_struct(history, TriggeredAction)


def own_profiles(sql: Connection) -> list[IdleProfile]:
    """The profiles that users made, by name."""
    return structs_of(sql, IdleProfile, PROFILE_QUERY.order_by(profiles.c.name))


def own_profile(sql: Connection, name: str) -> IdleProfile | None:
    """The profile with that name that a user made, if any."""
    return next(
        iter(structs_of(sql, IdleProfile, PROFILE_QUERY.where(profiles.c.name == name))), None
    )


def add_profile(tx: Tx, profile: IdleProfile) -> None:
    """Add a profile."""
    tx.sql.execute(profiles.insert().values(**msgspec.structs.asdict(profile)))


def remove_profile(tx: Tx, name: str) -> bool:
    """Delete a profile; whether there was one."""
    return bool(tx.sql.execute(delete(profiles).where(profiles.c.name == name)).rowcount)


def watched_by(sql: Connection, profile: str) -> int:
    """How many workspaces use a profile."""
    query = select(func.count()).where(watches.c.profile == profile)
    return int(sql.execute(query).scalar_one())


def watched(sql: Connection, workspace: str) -> WatchedWorkspace | None:
    """The idle rule of a workspace."""
    return next(iter(structs_of(sql, WatchedWorkspace, WATCHED_BY_ID, {"of": workspace})), None)


def watched_many(sql: Connection, workspaces: Sequence[str]) -> list[WatchedWorkspace]:
    """The idle rules of these workspaces."""
    loaded: list[WatchedWorkspace] = []
    for at in range(0, len(workspaces), 500):
        condition = watches.c.id.in_(workspaces[at : at + 500])
        loaded += structs_of(sql, WatchedWorkspace, WATCHED.where(condition))
    return loaded


def add_watch(tx: Tx, watch: WatchedWorkspace, due_at: datetime) -> None:
    """Add the rule of a new workspace."""
    row = msgspec.structs.asdict(watch)
    tx.sql.execute(ADD_WATCH, {**row, "due_at": due_at, "attempts": 0})


def change_watch(tx: Tx, workspace: str, due_at: datetime | None, **values: Any) -> None:
    """Store changes and have the rule sent at `due_at`; None leaves that time as it is."""
    due = {} if due_at is None else {"due_at": due_at}
    tx.sql.execute(CHANGE_WATCH, {"of": workspace, **values, **due})


def save_sent_rule(tx: Tx, workspace: str, sent: str) -> None:
    """Store the rule that was sent to its machine."""
    tx.sql.execute(CHANGE_WATCH, {"of": workspace, "told": sent})


def resend_rules(tx: Tx, due_at: datetime) -> None:
    """Have the rule sent to each machine at that time, even if it has it."""
    tx.sql.execute(update(watches).values(told=None, due_at=due_at))


def end_watch(tx: Tx, workspace: str) -> None:
    """Remove a workspace's rule."""
    tx.sql.execute(END_WATCH, {"of": workspace})


def add_past(tx: Tx, triggered: TriggeredAction) -> bool:
    """Store a machine's action once; returns whether it is new."""
    condition = (
        history.c.workspace == triggered.workspace,
        history.c.trigger_time == triggered.trigger_time,
    )
    if tx.sql.execute(select(history.c.id).where(*condition)).first() is not None:
        return False
    tx.sql.execute(history.insert().values(**msgspec.structs.asdict(triggered)))
    return True


def end_savings(tx: Tx, workspace: str, at: datetime) -> None:
    """End the savings of a workspace's last action."""
    tx.sql.execute(WAKE, {"of": workspace, "woken_at": at})


def past_actions(
    sql: Connection, limit: int, workspace: str | None = None
) -> list[TriggeredAction]:
    """The actions, the newest first."""
    query = PAST if workspace is None else PAST.where(history.c.workspace == workspace)
    newest = query.order_by(history.c.trigger_time.desc(), history.c.id.desc()).limit(limit)
    return structs_of(sql, TriggeredAction, newest)


def add_measurement(
    tx: Tx,
    key: tuple[str, int, str],
    span: tuple[int, int, int, int],
    used: Mapping[str, FigureSum],
) -> None:
    """Add a measurement to a workspace's hour; `span` is from, until, seconds, idle seconds.

    Time that another daemon has already measured counts once. Another type begins the hour anew.
    """
    m, (workspace, hour, instance_type) = measurements.c, key
    began, until, seconds, idle = span
    condition = and_(m.workspace == workspace, m.hour == hour)
    row = tx.sql.execute(select(measurements).where(condition)).mappings().one_or_none()
    columns = {"until": until, "seconds": seconds, "idle_seconds": idle}
    for figure in MEASURED:
        sums = used.get(figure, FigureSum())
        columns |= {
            f"{figure}_{part}": getattr(sums, part) for part in FigureSum.__struct_fields__
        }
    if row is None or row["instance_type"] != instance_type:
        key_columns = {"workspace": workspace, "hour": hour, "instance_type": instance_type}
        tx.sql.execute(delete(measurements).where(condition))
        tx.sql.execute(measurements.insert().values(**key_columns, **columns))
    elif row["until"] <= began:
        combined = {name: _add_up(name, row[name], value) for name, value in columns.items()}
        tx.sql.execute(update(measurements).where(condition).values(**combined))


def forget_hours(tx: Tx, before: int) -> None:
    """Delete measurements before an hour."""
    tx.sql.execute(delete(measurements).where(measurements.c.hour < before))


def hours_of(
    sql: Connection, of: Mapping[str, str], since: int
) -> dict[str, tuple[int, int, dict[str, FigureSum]]]:
    """Measurements since an hour, of these workspaces while they had these types."""
    m = measurements.c
    parts = [
        (func.max if part == "max" else func.sum)(m[f"{figure}_{part}"])
        for figure in MEASURED
        for part in FigureSum.__struct_fields__
    ]
    query = select(m.workspace, m.instance_type, func.sum(m.seconds), func.sum(m.idle_seconds))
    query = query.add_columns(*parts).where(m.workspace.in_(of), m.hour >= since)
    by_workspace = {}
    for row in sql.execute(query.group_by(m.workspace, m.instance_type)):
        id, kind, seconds, idle, *rest = tuple(row)
        if of[id] == kind:
            used = {
                figure: FigureSum(int(rest[3 * i]), rest[3 * i + 1], rest[3 * i + 2])
                for i, figure in enumerate(MEASURED)
            }
            by_workspace[id] = (int(seconds), int(idle), used)
    return by_workspace


def save_steps(tx: Tx, steps: Mapping[tuple[str, int], ActivityStep]) -> None:
    """Add to the stored steps of each workspace."""
    if not steps:
        return
    s, ids = activity_steps.c, {workspace for workspace, _ in steps}
    first = min(number for _, number in steps)
    query = select(s.workspace, s.number, s.step).where(s.number >= first)
    stored = {
        (workspace, number): msgspec.json.decode(step, type=ActivityStep)
        for workspace, number, step in tx.sql.execute(query)
        if workspace in ids
    }
    rows = [
        {"workspace": key[0], "number": key[1], "step": _json(activity_step)}
        for key, new in steps.items()
        if (activity_step := stored[key].joined(new) if key in stored else new)
        is not stored.get(key)
    ]
    if replaced := [row for row in rows if (row["workspace"], row["number"]) in stored]:
        condition = and_(s.workspace == bindparam("of"), s.number == bindparam("at"))
        keys = [{"of": row["workspace"], "at": row["number"]} for row in replaced]
        tx.sql.execute(delete(activity_steps).where(condition), keys)
    if rows:
        tx.sql.execute(activity_steps.insert(), rows)


def forget_steps(tx: Tx, before: int) -> None:
    """Delete the steps before one."""
    tx.sql.execute(delete(activity_steps).where(activity_steps.c.number < before))


def steps_of(sql: Connection, workspace: str, since: int) -> dict[int, ActivityStep]:
    """The stored steps of a workspace since one."""
    s = activity_steps.c
    query = select(s.number, s.step).where(s.workspace == workspace, s.number >= since)
    return {
        number: msgspec.json.decode(step, type=ActivityStep) for number, step in sql.execute(query)
    }


def _json(activity_step: ActivityStep) -> str:
    return msgspec.json.encode(activity_step).decode()


def _add_up(name: str, before: float, now: float) -> float:
    return max(before, now) if name == "until" or name.endswith("_max") else before + now
