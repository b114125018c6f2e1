"""Machines that are paid for although they are not on: they boot, or are falling asleep."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """The next look at a machine says whether it is one."""
    op.add_column(
        "workspaces",
        sa.Column("charged", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
