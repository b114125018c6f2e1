"""Which machines have a row."""

from sqlalchemy import Connection, select

from prism.workspaces.store import LIVE, workspaces


def known(sql: Connection) -> set[str]:
    """The keys of every row, also of those that have ended."""
    return set(sql.execute(select(workspaces.c.id)).scalars())


def names(sql: Connection) -> set[str]:
    """The names that are taken."""
    return set(sql.execute(select(workspaces.c.name).where(LIVE)).scalars())
