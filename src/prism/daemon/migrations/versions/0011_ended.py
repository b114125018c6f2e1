"""What projects and pools were called that are no more: the ledger still names them."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Names of those that ended before are not known any more."""
    for table in ("ended_projects", "ended_pools"):
        op.create_table(
            table,
            sa.Column("id", sa.String, primary_key=True),
            sa.Column("name", sa.String, nullable=False),
            sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        )
