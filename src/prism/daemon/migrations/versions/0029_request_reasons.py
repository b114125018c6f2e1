"""A workspace keeps who made its last request, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Add both columns; requests of earlier versions have neither."""
    requested_by = sa.Column("requested_by", sa.String(), nullable=False, server_default="")
    op.add_column("workspaces", requested_by)
    op.add_column("workspaces", sa.Column("request_reason", sa.String(), nullable=True))
