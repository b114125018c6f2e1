"""Logins of command lines: which session allowed them, and those that wait for an answer."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    """Begin without them."""
    op.add_column("sessions", sa.Column("parent", sa.String(), nullable=True))
    op.create_index("ix_sessions_parent", "sessions", ["parent"])
    op.create_table(
        "device_logins",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("user_code", sa.String(64), nullable=False, unique=True),
        sa.Column("computer", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.Column("polled_at", Utc(), nullable=True),
        sa.Column("interval", sa.Integer(), nullable=False),
        sa.Column("allowed", sa.Boolean(), nullable=True),
        sa.Column("parent", sa.String(), nullable=True),
    )
    op.create_index("ix_device_logins_address", "device_logins", ["address"])
