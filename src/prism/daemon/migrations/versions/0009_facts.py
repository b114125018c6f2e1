"""What a machine was told of itself last."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Nothing is told now: null is what it was launched with, until a request changes that."""
    op.add_column("workspaces", sa.Column("told_facts", sa.String()))
