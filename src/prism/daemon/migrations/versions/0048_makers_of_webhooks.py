"""Webhooks remember the token or session with which they were made."""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"


def upgrade() -> None:
    """Which made the webhooks of before is not known."""
    op.add_column("webhooks", sa.Column("parent", sa.String()))
    op.create_index("ix_webhooks_parent", "webhooks", ["parent"])
