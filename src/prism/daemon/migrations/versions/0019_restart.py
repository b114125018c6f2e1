"""Whether a workspace is started again after its computer was restarted."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Nothing starts by itself that was launched before."""
    op.add_column(
        "workspaces",
        sa.Column("restart", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
