"""The homes in a database, and which daemon served each of them last."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Begin without homes; each daemon adds its own at its start."""
    op.create_table(
        "homes",
        sa.Column("location", sa.String(), primary_key=True),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("machine", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("claimed_at", Utc(), nullable=False),
    )
