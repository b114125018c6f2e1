"""Limits of people, roles and tokens, and what tokens with a limit have made."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    """Nobody has any yet."""
    op.create_table(
        "limits",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("project", sa.String(), sa.ForeignKey("projects.id", ondelete="CASCADE")),
        sa.Column("by_operator", sa.Boolean(), nullable=False),
        sa.Column("monthly", sa.BigInteger()),
        sa.Column("workspaces", sa.Integer()),
        sa.Column("gpus", sa.Integer()),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("set_at", Utc(), nullable=False),
    )
    op.create_index("ix_limits_project", "limits", ["project"])
    op.create_table(
        "token_resources",
        sa.Column("token", sa.String(), primary_key=True),
        sa.Column("resource", sa.String(), primary_key=True),
    )
    op.create_index("ix_token_resources_resource", "token_resources", ["resource"])
    op.create_index("segments_of_owner", "segments", ["owner", "ended"])
