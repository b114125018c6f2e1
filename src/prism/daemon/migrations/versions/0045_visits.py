"""Who enters workspaces of others."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    """Nobody was recorded before."""
    op.create_table(
        "visits",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("way", sa.String(), nullable=False),
        sa.Column("began_at", Utc(), nullable=False),
        sa.Column("last_at", Utc(), nullable=False),
        sa.Column("ended_at", Utc()),
        sa.Column("due_at", Utc(), nullable=False),
        sa.Column("lease", sa.String()),
        sa.Column("lease_until", Utc()),
        sa.Column("attempts", sa.Integer(), nullable=False),
    )
    op.create_index("visits_of", "visits", ["workspace", "ended_at"])
    op.create_index("ix_visits_due_at", "visits", ["due_at"])
    where = sa.text("lease_until IS NOT NULL")
    op.create_index(
        "visits_leased", "visits", ["lease_until"], sqlite_where=where, postgresql_where=where
    )
