"""Ends of memberships, and of those that invitations offer."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    """Every membership of before goes on."""
    op.create_table(
        "member_ends",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column(
            "project",
            sa.String(),
            sa.ForeignKey("projects.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("until", Utc(), nullable=False),
        sa.Column("at_end", sa.String(), nullable=False),
        sa.Column("to", sa.String()),
        sa.Column("due_at", Utc(), nullable=False),
        sa.Column("lease", sa.String()),
        sa.Column("lease_until", Utc()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.UniqueConstraint("project", "email"),
    )
    op.create_index("ix_member_ends_due_at", "member_ends", ["due_at"])
    where = sa.text("lease_until IS NOT NULL")
    op.create_index(
        "member_ends_leased",
        "member_ends",
        ["lease_until"],
        sqlite_where=where,
        postgresql_where=where,
    )
    op.add_column("invitations", sa.Column("until", Utc()))
    op.add_column("invitations", sa.Column("at_end", sa.String()))
    op.add_column("invitations", sa.Column("to", sa.String()))
