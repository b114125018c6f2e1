"""Who launched a workspace for its owner."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    """Who launched the workspaces of before is not known."""
    op.add_column("workspaces", sa.Column("launched_by", sa.String()))
    op.create_index("ix_workspaces_launched_by", "workspaces", ["launched_by"])
