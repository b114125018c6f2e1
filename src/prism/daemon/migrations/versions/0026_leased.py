"""An index of leases knows only the few rows that are leased: a row that is not costs no write."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

TABLES = (
    "workspaces",
    "invitation_mails",
    "reservations",
    "snapshots",
    "volumes",
    "idle_watches",
)


def upgrade() -> None:
    """Exchange the index of each table that a reconciler looks after."""
    held = sa.text("lease_until IS NOT NULL")
    for table in TABLES:
        op.drop_index(f"ix_{table}_lease_until", table)
        op.create_index(
            f"{table}_leased", table, ["lease_until"], sqlite_where=held, postgresql_where=held
        )
