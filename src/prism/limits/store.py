"""The tables of limits and of what tokens have made, and all SQL about them."""

from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Integer,
    Select,
    String,
    Table,
    bindparam,
    delete,
    func,
    or_,
    select,
    true,
    union_all,
    update,
)

from prism.access.store import tokens
from prism.budgets.model import Holder, Reservation
from prism.budgets.store import RESERVATIONS, RESERVED, reservations
from prism.costs.months import parameters
from prism.costs.store import AT_THEN, BOOKED, COUNTED, LATER, OF, PAYING, cost_by, segments
from prism.kit.database.versions import once, topic
from prism.kit.db import Tx
from prism.kit.tables import Utc, metadata, select_struct, structs_of
from prism.limits.model import Limit, LimitNotFound
from prism.storage.store import snapshots, volumes
from prism.workspaces.model import Workspace
from prism.workspaces.store import LIVE, by_ids, workspaces

LIMITS_TOPIC, TOKEN_RESOURCES = "limits", "token_resources"  # topics

limits = Table(
    "limits",
    metadata,
    Column("id", String, primary_key=True),
    Column("scope", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("project", String, ForeignKey("projects.id", ondelete="CASCADE"), index=True),
    Column("by_operator", Boolean, nullable=False),
    Column("monthly", BigInteger),
    Column("workspaces", Integer),
    Column("gpus", Integer),
    Column("set_by", String, nullable=False),
    Column("set_at", Utc, nullable=False),
    info=topic(LIMITS_TOPIC),
)
token_resources = Table(  # what a token with a limit has made or woken
    "token_resources",
    metadata,
    Column("token", String, primary_key=True),
    Column("resource", String, primary_key=True, index=True),
    info=topic(TOKEN_RESOURCES),
)
LAUNCHED = select(workspaces.c.id).where(workspaces.c.launched_by == OF)
SELECT_LIMITS = select_struct(limits, Limit).order_by(limits.c.id)
PROJECT: BindParameter[Any] = bindparam("project")
OF_TOKEN = select(token_resources.c.resource).where(token_resources.c.token == OF)
TOKENS_OF = select(token_resources.c.token).where(token_resources.c.resource == OF)
OWNED = union_all(
    *(
        select(table.c.id).where(table.c.owner == OF)
        for table in (
            workspaces,
            volumes,
            snapshots,
        )
    )
)


def every(sql: Connection) -> list[Limit]:
    """All limits, the oldest first."""
    return once(sql, (LIMITS_TOPIC,), "limits", lambda: structs_of(sql, Limit, SELECT_LIMITS))


def by_id(sql: Connection, id: str) -> Limit:
    """The limit with that id; raises if there is none."""
    for limit in every(sql):
        if limit.id == id:
            return limit
    raise LimitNotFound(
        f"Limit {id!r} not found", remediation="Use `prism limit list` to see the limits"
    )


def put(tx: Tx, limit: Limit) -> None:
    """Add or replace a limit."""
    values = msgspec.structs.asdict(limit)
    if not tx.sql.execute(update(limits).where(limits.c.id == limit.id).values(values)).rowcount:
        tx.sql.execute(limits.insert(), values)


def remove(tx: Tx, id: str) -> None:
    """Delete a limit."""
    tx.sql.execute(delete(limits).where(limits.c.id == id))


def parents(sql: Connection, token: str) -> list[str]:
    """A token and the tokens it was made with, the newest first."""
    family, parent_of = [token], select(tokens.c.parent).where(tokens.c.id == OF)
    while (parent := sql.execute(parent_of, {"of": family[-1]}).scalar()) is not None:
        family.append(parent)
    return family


def token_name(sql: Connection, id: str) -> str | None:
    """The name of a token; null if it was revoked, or there is none."""
    return sql.execute(select(tokens.c.name).where(tokens.c.id == id)).scalar()


def tokens_of(sql: Connection, resource: str) -> list[str]:
    """The tokens with a limit that have made or woken a resource."""
    return once(
        sql,
        (TOKEN_RESOURCES,),
        resource,
        lambda: [*sql.execute(TOKENS_OF, {"of": resource}).scalars()],
    )


def record(tx: Tx, token: str, resource: str) -> None:
    """Record that a token has made or woken a resource."""
    if token not in tokens_of(tx.sql, resource):
        tx.sql.execute(token_resources.insert(), {"token": token, "resource": resource})


def living(sql: Connection, holder: Holder) -> list[Workspace]:
    """The workspaces of a holder that have not ended."""
    w = workspaces.c
    query = select(w.id).where(LIVE, _held(holder), _within(holder, w.project))
    ids = sql.execute(query, _binds(holder)).scalars().all()
    return by_ids(sql, ids) if ids else []


def reservations_of(sql: Connection, holder: Holder) -> list[Reservation]:
    """The reservations of what a holder has."""
    r = reservations.c
    held: ColumnElement[bool] = r.id.in_(OF_TOKEN if holder.scope == "token" else OWNED)
    if holder.launches:
        held = or_(held, r.id.in_(LAUNCHED))
    query = RESERVATIONS.where(held, _within(holder, r.project))
    return once(
        sql,
        (RESERVED, COUNTED, TOKEN_RESOURCES),
        holder,
        lambda: structs_of(sql, Reservation, query, _binds(holder)),
    )


def spent(sql: Connection, holder: Holder, start: int, now: int) -> int:
    """What a holder has spent since a moment."""
    query = _costs(holder.scope, holder.launches, holder.project is not None, is_since=True)
    return _total(sql, query, holder, then=start, now=now)


def spent_by(sql: Connection, holder: Holder, at: int) -> int:
    """What a holder had spent by a moment in the past."""
    query = _costs(holder.scope, holder.launches, holder.project is not None, is_since=False)
    return _total(sql, query, holder, then=at)


def _total(sql: Connection, query: Select[Any], holder: Holder, **moments: int) -> int:
    return int(sql.execute(query, parameters(**moments) | _binds(holder)).scalar() or 0)


@lru_cache(maxsize=16)
def _costs(scope: str, launches: bool, has_project: bool, *, is_since: bool) -> Select[Any]:
    """A statement of the costs of a holder since a moment, or by a moment."""
    s = segments.c
    held = s.resource.in_(OF_TOKEN) if scope == "token" else s.owner == OF
    if launches:
        held = or_(held, s.resource.in_(LAUNCHED))
    where = s.project == PROJECT if has_project else true()
    costs = BOOKED - cost_by(AT_THEN) if is_since else cost_by(AT_THEN)
    return select(func.sum(costs)).where(PAYING, held, where, LATER if is_since else true())


def _held(holder: Holder) -> ColumnElement[bool]:
    w = workspaces.c
    if holder.scope == "token":
        return w.id.in_(OF_TOKEN)
    return or_(w.owner == OF, w.launched_by == OF) if holder.launches else w.owner == OF


def _within(holder: Holder, project: Column[str]) -> ColumnElement[bool]:
    return true() if holder.project is None else project == PROJECT


def _binds(holder: Holder) -> dict[str, str]:
    project = {} if holder.project is None else {"project": holder.project}
    return {"of": holder.subject, **project}
