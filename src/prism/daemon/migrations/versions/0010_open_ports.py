"""Machines whose ports are open to their launcher, because that was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Nothing is open that was launched before."""
    op.add_column(
        "workspaces",
        sa.Column("open_ports", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
