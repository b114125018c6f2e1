"""Names of workspaces, volumes and snapshots are unique for each owner; people have handles."""

import re
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
OWNED = ("workspaces", "volumes", "snapshots")
# SQLite does not name what a column declares as unique.
NAMING = {"uq": "uq_%(table_name)s_%(column_0_name)s"}


def upgrade() -> None:
    """Give a handle to each owner, and let names of different owners be the same."""
    handles = op.create_table(
        "handles",
        sa.Column("person", sa.String(), primary_key=True),
        sa.Column("handle", sa.String(), nullable=False, unique=True),
    )
    rows = [{"person": person, "handle": handle} for person, handle in _handles().items()]
    if rows:
        op.bulk_insert(handles, rows)
    _index_workspaces()
    for table in ("volumes", "snapshots"):
        _drop_unique(table)
        op.create_index(f"{table}_name", table, ["name", "owner"], unique=True)


def _index_workspaces() -> None:
    living = sa.text("ended_at IS NULL")
    op.drop_index("workspaces_live_name", "workspaces")
    op.create_index(
        "workspaces_live_name",
        "workspaces",
        ["owner", "name"],
        unique=True,
        sqlite_where=living,
        postgresql_where=living,
    )


def _drop_unique(table: str) -> None:
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint(f"{table}_name_key", table)
    else:
        with op.batch_alter_table(table, recreate="always", naming_convention=NAMING) as batch:
            batch.drop_constraint(f"uq_{table}_name", type_="unique")


def _handles() -> dict[str, str]:
    """The handle of each owner, who is in lower case; the first owner gets the plain one."""
    owners: dict[str, None] = {}
    for table in OWNED:
        query = sa.text(f"SELECT owner FROM {table} ORDER BY id")
        owners |= dict.fromkeys(owner.lower() for owner in op.get_bind().scalars(query) if owner)
    handles: dict[str, str] = {}
    for owner in owners:
        handles[owner] = _handle(owner, {*handles.values()})
    return handles


def _handle(person: str, taken: set[str]) -> str:
    plain = unicodedata.normalize("NFKD", person.partition("@")[0])
    letters = re.sub(r"[^a-z0-9]+", "-", plain.encode("ascii", "ignore").decode())
    own = letters.strip("-")[:13].strip("-") or "person"
    handle, number = own, 1
    while handle in taken:
        number += 1
        handle = f"{own[: 13 - len(str(number))].rstrip('-')}{number}"
    return handle
