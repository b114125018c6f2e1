"""A segment says whether it is the rest of a minimum charge, instead of the end of its text."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Add the column, and fill it from the texts that earlier versions wrote."""
    op.add_column(
        "segments",
        sa.Column("is_minimum", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    segments = sa.table(
        "segments", sa.column("detail", sa.String), sa.column("is_minimum", sa.Boolean)
    )
    filled = segments.c.detail.endswith(" s for a start")
    op.execute(segments.update().where(filled).values(is_minimum=sa.true()))
