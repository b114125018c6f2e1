"""Which database this is, and whether it is behind the world."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """One row, made by the first daemon that starts with it."""
    op.create_table(
        "database_identity",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("behind", sa.JSON()),
    )
