"""Which machines have a row."""

from sqlalchemy import Connection, Table, select

from prism.access.model import current
from prism.storage.store import snapshots, volumes
from prism.workspaces.store import LIVE, workspaces


def known(sql: Connection) -> set[str]:
    """The ids of all workspaces, also of those that have ended."""
    return set(sql.execute(select(workspaces.c.id)).scalars())


def names(sql: Connection, owner: str) -> set[str]:
    """The names of the owner's workspaces that have not ended; in local mode, of all."""
    rows = sql.execute(select(workspaces.c.name, workspaces.c.owner).where(LIVE))
    return {name for name, other in rows if _counts(owner, other)}


def known_storage(sql: Connection) -> dict[str, str | None]:
    """The key of every volume and snapshot, and its id at its provider, if it has one yet."""
    columns = ((volumes, volumes.c.disk_id), (snapshots, snapshots.c.copy_id))
    return {
        key: id for table, column in columns for key, id in sql.execute(select(table.c.id, column))
    }


def names_in(sql: Connection, table: Table, owner: str) -> set[str]:
    """The names of the owner's volumes, or snapshots; in local mode, of all."""
    rows = sql.execute(select(table.c.name, table.c.owner))
    return {name for name, other in rows if _counts(owner, other)}


def _counts(owner: str, other: str) -> bool:
    return not current().team or owner.lower() == other.lower()
