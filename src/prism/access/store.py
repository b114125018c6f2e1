"""The table of tokens, with hashes of their secrets, and all SQL about it."""

from datetime import datetime

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    String,
    Table,
    delete,
    update,
)

from prism.access.model import Token
from prism.kit.db import Tx
from prism.kit.tables import Utc, metadata, select_struct, structs_of

tokens = Table(
    "tokens",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("user", String, nullable=False, index=True),
    Column("scope", String, nullable=False),
    Column("project", String, ForeignKey("projects.id", ondelete="CASCADE")),
    Column("hash", String(64), nullable=False),
    Column("created_by", String, nullable=False),
    Column("parent", String, index=True),  # the token that made it
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("last_used", Utc),
)
SELECT_TOKENS = select_struct(tokens, Token).order_by(tokens.c.id)


def by_id(sql: Connection, id: str) -> Token | None:
    """The token with that id."""
    return next(iter(structs_of(sql, Token, SELECT_TOKENS.where(tokens.c.id == id))), None)


def every(sql: Connection, user: str | None) -> list[Token]:
    """All tokens of a user, or of everybody; the oldest first."""
    return structs_of(
        sql, Token, SELECT_TOKENS if user is None else SELECT_TOKENS.where(tokens.c.user == user)
    )


def made_by(sql: Connection, id: str) -> list[Token]:
    """The tokens that were made with this one."""
    return structs_of(sql, Token, SELECT_TOKENS.where(tokens.c.parent == id))


def add(tx: Tx, token: Token) -> None:
    """Add a token."""
    tx.sql.execute(tokens.insert().values(**msgspec.structs.asdict(token)))


def remove(tx: Tx, id: str) -> None:
    """Delete a token."""
    tx.sql.execute(delete(tokens).where(tokens.c.id == id))


def used(tx: Tx, id: str, at: datetime) -> None:
    """Record when it was used last."""
    tx.sql.execute(update(tokens).where(tokens.c.id == id).values(last_used=at))
