"""A workspace's files can be replaced by those of a snapshot."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Add the snapshot that a workspace is rolled back to, and the one that is taken before."""
    op.add_column("workspaces", sa.Column("rollback_to", sa.String(), nullable=True))
    op.add_column("workspaces", sa.Column("rollback_backup", sa.String(), nullable=True))
