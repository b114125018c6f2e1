"""What its machine says of itself is counted by two columns, one of each side that writes."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Where something had changed since the launch, the machine is told once more."""
    for name in ("facts_version", "told_version"):
        op.add_column(
            "workspaces", sa.Column(name, sa.Integer(), nullable=False, server_default="0")
        )
    op.execute("UPDATE workspaces SET facts_version = 1 WHERE told_facts IS NOT NULL")
    op.drop_column("workspaces", "told_facts")
