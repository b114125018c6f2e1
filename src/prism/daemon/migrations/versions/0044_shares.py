"""Shares of workspaces."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    """Nobody shares anything yet."""
    op.create_table(
        "shares",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("service", sa.String()),
        sa.Column("port", sa.Integer()),
        sa.Column("audience", sa.String(), nullable=False),
        sa.Column("guest", sa.String()),
        sa.Column("may_wake", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("until", Utc(), nullable=False),
        sa.Column("due_at", Utc(), nullable=False),
        sa.Column("lease", sa.String()),
        sa.Column("lease_until", Utc()),
        sa.Column("attempts", sa.Integer(), nullable=False),
    )
    op.create_index("ix_shares_workspace", "shares", ["workspace"])
    op.create_index("ix_shares_guest", "shares", ["guest"])
    op.create_index("ix_shares_due_at", "shares", ["due_at"])
    where = sa.text("lease_until IS NOT NULL")
    op.create_index(
        "shares_leased", "shares", ["lease_until"], sqlite_where=where, postgresql_where=where
    )
