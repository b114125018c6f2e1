"""A token knows by which one it was made, and ends with it."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Of those that there are, nobody knows any more."""
    op.add_column("tokens", sa.Column("parent", sa.String()))
    op.create_index("ix_tokens_parent", "tokens", ["parent"])
