"""Launches that go on elsewhere, and machines that become another type."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Count the attempts of a launch, and remember what type each machine is."""
    op.add_column(
        "workspaces", sa.Column("attempt", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("workspaces", sa.Column("told_type", sa.String()))
    op.execute("UPDATE workspaces SET told_type = instance_type WHERE machine_id IS NOT NULL")
