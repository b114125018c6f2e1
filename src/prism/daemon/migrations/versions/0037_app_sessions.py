"""Sessions of browsers at the origins of apps."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "app_sessions",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("session", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("expires_at", Utc, nullable=False),
    )
    op.create_index("ix_app_sessions_session", "app_sessions", ["session"])
