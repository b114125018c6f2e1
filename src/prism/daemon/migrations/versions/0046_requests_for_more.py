"""Requests for more money, time, size or workspaces."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    """Nobody has requested anything yet."""
    op.create_table(
        "more_requests",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("decider", sa.String(), nullable=False),
        sa.Column("project", sa.String()),
        sa.Column("limit", sa.String()),
        sa.Column("workspace", sa.String()),
        sa.Column("usd", sa.BigInteger()),
        sa.Column("hours", sa.Float()),
        sa.Column("size", sa.String()),
        sa.Column("count", sa.Integer()),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("made_at", Utc(), nullable=False),
        sa.Column("decided_by", sa.String()),
        sa.Column("decided_at", Utc()),
        sa.Column("answer", sa.String(), nullable=False),
    )
    op.create_index("ix_more_requests_person", "more_requests", ["person"])
    op.create_index("ix_more_requests_project", "more_requests", ["project"])
