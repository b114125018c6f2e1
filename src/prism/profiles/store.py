"""The tables of profiles, and all SQL about them."""

from datetime import datetime

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Float,
    ForeignKey,
    String,
    Table,
    bindparam,
    delete,
    select,
    update,
)

from prism.kit.db import Tx
from prism.kit.tables import Utc, metadata, select_struct, structs_of
from prism.profiles.model import Profile

profiles = Table(
    "profiles",
    metadata,
    Column("name", String, primary_key=True),
    Column("provider", String, nullable=False),
    Column("aws_profile", String),
    Column("region", String),
    Column("default_project", String),
    Column("host", String),
    Column("cpu_hour", Float),
    Column("gb_hour", Float),
    Column("gpu_hour", Float),
    Column("created_at", Utc, nullable=False),
    Column("last_used", Utc),
)
active = Table(
    "active_profiles",
    metadata,
    Column("actor", String, primary_key=True),
    Column("profile", String, ForeignKey("profiles.name"), nullable=False, index=True),
)
SELECT_PROFILES = select_struct(profiles, Profile)
RECORD_USE = update(profiles).where(profiles.c.name == bindparam("of"))


def every(sql: Connection) -> list[Profile]:
    """All profiles, by name."""
    return structs_of(sql, Profile, SELECT_PROFILES.order_by(profiles.c.name))


def named(sql: Connection, name: str) -> Profile | None:
    """The profile of that name."""
    return next(
        iter(structs_of(sql, Profile, SELECT_PROFILES.where(profiles.c.name == name))), None
    )


def add(tx: Tx, profile: Profile) -> None:
    """Add a profile."""
    tx.sql.execute(profiles.insert().values(**msgspec.structs.asdict(profile)))


def put(tx: Tx, profile: Profile) -> None:
    """Store a changed profile."""
    changed = update(profiles).where(profiles.c.name == profile.name)
    tx.sql.execute(changed.values(**msgspec.structs.asdict(profile)))


def remove(tx: Tx, name: str) -> None:
    """Delete a profile."""
    tx.sql.execute(delete(profiles).where(profiles.c.name == name))


def used(tx: Tx, name: str, at: datetime) -> None:
    """Record when it was used last."""
    tx.sql.execute(RECORD_USE, {"of": name, "last_used": at})


def active_of(sql: Connection, actor: str) -> str | None:
    """The name of the profile that a user has switched to."""
    query = select(active.c.profile).where(active.c.actor == actor)
    return sql.execute(query).scalar_one_or_none()


def activate(tx: Tx, actor: str, name: str) -> None:
    """Store the profile that a user has switched to."""
    condition = active.c.actor == actor
    if not tx.sql.execute(update(active).where(condition).values(profile=name)).rowcount:
        tx.sql.execute(active.insert().values(actor=actor, profile=name))


def in_use(sql: Connection) -> list[str]:
    """The names of all profiles that users have switched to."""
    return [*sql.execute(select(active.c.profile).distinct()).scalars()]
