"""The tables of sessions, one-time codes and identities, and all SQL about them."""

from datetime import datetime

import msgspec
from sqlalchemy import Column, Connection, String, Table, delete, or_, update

from prism.kit.db import Tx
from prism.kit.tables import Utc, metadata, select_struct, structs_of
from prism.sessions.model import IDLE_LIMIT, BrowserSession, LoginCode

sessions = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("user", String, nullable=False, index=True),
    Column("hash", String(64), nullable=False),
    Column("method", String, nullable=False),
    Column("token", String, index=True),
    Column("created_at", Utc, nullable=False),
    Column("last_used", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("address", String, nullable=False),
    Column("browser", String, nullable=False),
    Column("issuer", String),
    Column("subject", String, index=True),
    Column("provider_session", String, index=True),
    Column("login", String(64), unique=True),
)
codes = Table(
    "login_codes",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("user", String, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("created_by", String, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("challenge", String),
    Column("computer", String),
    Column("parent", String),
)
identities = Table(
    "identities",
    metadata,
    Column("issuer", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("user", String, nullable=False, index=True),
    Column("first_login", Utc, nullable=False),
    Column("last_login", Utc, nullable=False),
)
SELECT = select_struct(sessions, BrowserSession).order_by(
    sessions.c.last_used.desc(), sessions.c.id
)
CODES = select_struct(codes, LoginCode)


def by_id(sql: Connection, id: str) -> BrowserSession | None:
    """The session with that id."""
    return next(iter(structs_of(sql, BrowserSession, SELECT.where(sessions.c.id == id))), None)


def living(sql: Connection, user: str | None, now: datetime) -> list[BrowserSession]:
    """The sessions of a person, or of everybody, that have not ended; the last used one first."""
    query = SELECT.where(sessions.c.expires_at > now, sessions.c.last_used > now - IDLE_LIMIT)
    query = query if user is None else query.where(sessions.c.user == user)
    return structs_of(sql, BrowserSession, query)


def add(tx: Tx, session: BrowserSession) -> None:
    """Add a session."""
    tx.sql.execute(sessions.insert().values(**msgspec.structs.asdict(session)))


def remove(tx: Tx, id: str) -> None:
    """Delete a session."""
    tx.sql.execute(delete(sessions).where(sessions.c.id == id))


def used(tx: Tx, id: str, at: datetime) -> None:
    """Record when it was used last."""
    tx.sql.execute(update(sessions).where(sessions.c.id == id).values(last_used=at))


def add_code(tx: Tx, code: LoginCode) -> None:
    """Add a one-time code."""
    tx.sql.execute(codes.insert().values(**msgspec.structs.asdict(code)))


def code_by_id(sql: Connection, id: str) -> LoginCode | None:
    """The one-time code with that id."""
    return next(iter(structs_of(sql, LoginCode, CODES.where(codes.c.id == id))), None)


def remove_code(tx: Tx, id: str) -> None:
    """Delete a one-time code: nobody can use it again."""
    tx.sql.execute(delete(codes).where(codes.c.id == id))


def prune(tx: Tx, now: datetime) -> None:
    """Delete what has ended by itself."""
    over = or_(sessions.c.expires_at <= now, sessions.c.last_used <= now - IDLE_LIMIT)
    tx.sql.execute(delete(sessions).where(over))
    tx.sql.execute(delete(codes).where(codes.c.expires_at <= now))
