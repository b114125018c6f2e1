"""The table of shares, and all SQL about it."""

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    String,
    Table,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)

from prism.kit.db import Tx
from prism.kit.tables import Utc, leased, metadata, select_struct, structs_of
from prism.sharing.model import Share, ShareAudience, ShareNotFound
from prism.workspaces.model import Workspace
from prism.workspaces.store import by_ids

shares = Table(
    "shares",
    metadata,
    Column("id", String, primary_key=True),
    Column("workspace", String, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("service", String),
    Column("port", Integer),
    Column("audience", String, nullable=False),
    Column("guest", String, index=True),
    Column("may_wake", Boolean, nullable=False),
    Column("owner", String, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("until", Utc, nullable=False),
    *leased("shares"),
)
SELECT_SHARES = select_struct(shares, Share).order_by(shares.c.id)


def every(sql: Connection) -> list[Share]:
    """All shares, the oldest first."""
    return structs_of(sql, Share, SELECT_SHARES)


def find(sql: Connection, id: str) -> Share | None:
    """The share with that id, if there is one."""
    return next(iter(structs_of(sql, Share, SELECT_SHARES.where(shares.c.id == id))), None)


def of_workspace(sql: Connection, workspace: str) -> list[Share]:
    """The shares of a workspace."""
    return structs_of(sql, Share, SELECT_SHARES.where(shares.c.workspace == workspace))


def count_of(sql: Connection, owner: str) -> int:
    """How many shares a person has made."""
    query = select(func.count()).where(func.lower(shares.c.owner) == owner.lower())
    return int(sql.execute(query).scalar() or 0)


def of_owner(sql: Connection, owner: str) -> list[Share]:
    """The shares that a person has made."""
    mine = func.lower(shares.c.owner) == owner.lower()
    return structs_of(sql, Share, SELECT_SHARES.where(mine))


def with_person(sql: Connection, person: str) -> list[Share]:
    """The shares that name a person."""
    named = and_(shares.c.audience == ShareAudience.PERSON, shares.c.guest == person.lower())
    return structs_of(sql, Share, SELECT_SHARES.where(named))


def for_person(sql: Connection, person: str, projects: Collection[str]) -> list[Share]:
    """The shares that name a person or a project of theirs, and those for everybody."""
    s = shares.c
    to_person = and_(s.audience == ShareAudience.PERSON, s.guest == person.lower())
    to_project = and_(s.audience == ShareAudience.PROJECT, s.guest.in_([*projects]))
    to_all = s.audience == ShareAudience.EVERYBODY
    return structs_of(sql, Share, SELECT_SHARES.where(or_(to_person, to_project, to_all)))


def workspace_of(sql: Connection, share: Share) -> Workspace | None:
    """The workspace of a share, if there is still a row of it."""
    return next(iter(by_ids(sql, [share.workspace])), None)


def add(tx: Tx, share: Share) -> None:
    """Add a share, which the loop ends at its time."""
    tx.sql.execute(shares.insert().values(**msgspec.structs.asdict(share), due_at=share.until))


def remove(tx: Tx, id: str) -> bool:
    """Delete a share; whether there was one."""
    return bool(tx.sql.execute(delete(shares).where(shares.c.id == id)).rowcount)


def make_due(tx: Tx, ids: Collection[str], at: datetime) -> None:
    """Let the loop look at these now."""
    tx.sql.execute(update(shares).where(shares.c.id.in_(ids)).values(due_at=at))


def not_found(id: str) -> ShareNotFound:
    """The problem if there is no share with that id, or the caller may not know of it."""
    return ShareNotFound(
        f"Share {id!r} not found",
        details="it was ended, its time is over, or it is for somebody else",
        remediation="Use `prism shares` to see what you share, and what is shared with you",
    )
