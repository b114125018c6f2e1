"""Whether a workspace is stopped only to be started again."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """No restart is under way."""
    op.add_column(
        "workspaces",
        sa.Column("restarting", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
