"""Where volumes can be reached, and how far snapshots are."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Remember both; here neither matters, so nothing has to be made up."""
    op.add_column("volumes", sa.Column("zone", sa.String()))
    op.add_column("snapshots", sa.Column("progress", sa.Integer()))
