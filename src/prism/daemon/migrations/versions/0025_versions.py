"""Versions of what is kept in memory: a word for each topic, another one after each change."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Begin without words; the first change of a topic gives it one."""
    op.create_table(
        "versions",
        sa.Column("topic", sa.String(), primary_key=True),
        sa.Column("word", sa.String(), nullable=False),
    )
