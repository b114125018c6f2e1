"""What workspaces used, hour by hour; and a word that says whether sums of days are the same."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

FIGURES = ("cpu", "memory", "network", "gpu")
HOURS: tuple[Any, ...] = (
    sa.Column("workspace", sa.String(), primary_key=True),
    sa.Column("hour", sa.Integer(), primary_key=True),
    sa.Column("instance_type", sa.String(), nullable=False),
    sa.Column("until", sa.BigInteger(), nullable=False),
    sa.Column("seconds", sa.Integer(), nullable=False),
    sa.Column("idle_seconds", sa.Integer(), nullable=False),
    *(
        sa.Column(f"{figure}_{part}", kind, nullable=False)
        for figure in FIGURES
        for part, kind in (("seconds", sa.Integer()), ("sum", sa.Float()), ("max", sa.Float()))
    ),
)


def upgrade() -> None:
    """Make both; what was used before is not known, and sums of days stay as they are."""
    op.create_table("measurements", *HOURS)
    op.create_index("ix_measurements_hour", "measurements", ["hour"])
    op.create_table(
        "days_edition",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("word", sa.String(), nullable=False),
    )
