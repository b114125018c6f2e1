"""Burstable machines that may use more CPU than their price covers, because that was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """What was launched before counts as limited, as its price did."""
    op.add_column(
        "workspaces",
        sa.Column("unlimited", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
