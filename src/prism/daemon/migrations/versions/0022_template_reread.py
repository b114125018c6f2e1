"""Whether a workspace's template was read again since its machine was made."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """No template was read again."""
    op.add_column(
        "workspaces",
        sa.Column("template_reread", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
