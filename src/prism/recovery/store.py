"""Which machines have a row."""

from sqlalchemy import Connection, Table, select

from prism.storage.store import snapshots, volumes
from prism.workspaces.store import LIVE, workspaces


def known(sql: Connection) -> set[str]:
    """The ids of all workspaces, also of those that have ended."""
    return set(sql.execute(select(workspaces.c.id)).scalars())


def names(sql: Connection) -> set[str]:
    """The names of the workspaces that have not ended."""
    return set(sql.execute(select(workspaces.c.name).where(LIVE)).scalars())


def known_storage(sql: Connection) -> dict[str, str | None]:
    """The key of every volume and snapshot, and its id at its provider, if it has one yet."""
    columns = ((volumes, volumes.c.disk_id), (snapshots, snapshots.c.copy_id))
    return {
        key: id for table, column in columns for key, id in sql.execute(select(table.c.id, column))
    }


def names_in(sql: Connection, table: Table) -> set[str]:
    """The names of all volumes, or of all snapshots."""
    return set(sql.execute(select(table.c.name)).scalars())
