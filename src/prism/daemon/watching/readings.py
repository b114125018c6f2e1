"""Numbers for the metrics that are read from the workspaces in memory, and from the database."""

from collections import Counter
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy import make_url, text

from prism.kit.db import Database
from prism.profiles.providers import provider_of
from prism.workspaces.plan import IN_BETWEEN
from prism.workspaces.read_model import EncodedPages

DATABASE_SIZE = text("SELECT pg_database_size(current_database())")
SQLITE_SUFFIXES = ("", "-wal", "-shm")


def workspace_counts(pages: EncodedPages) -> dict[tuple[str, str], int]:
    """How many workspaces there are, by state and provider."""
    return Counter(
        (cached.state.value, provider_of(cached.workspace.location))
        for cached in pages.rows.values()
    )


def oldest_changes(pages: EncodedPages, now: datetime) -> dict[str, float]:
    """By provider, the seconds since the oldest request that is not carried out yet."""
    oldest: dict[str, float] = {}
    for cached in pages.rows.values():
        if cached.state in IN_BETWEEN:
            provider = provider_of(cached.workspace.location)
            age = (now - cached.workspace.requested_at).total_seconds()
            oldest[provider] = max(age, oldest.get(provider, 0.0))
    return oldest


def size_of(db: Database, url: str) -> int:
    """The bytes of the database, with the log of a SQLite file."""
    if db.shared:
        with db.read() as sql:
            return int(sql.execute(DATABASE_SIZE).scalar_one())
    file, size = make_url(url).database or "", 0
    for suffix in SQLITE_SUFFIXES:
        with suppress(FileNotFoundError):
            size += Path(file + suffix).stat().st_size
    return size
