"""Snapshots say whether they are of one moment, and when they were verified."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Of those that are there nobody knows either."""
    for column in (
        sa.Column("verify_every", sa.String()),
        sa.Column("verify_wish", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("one_moment", sa.Boolean()),
        sa.Column("verify_done", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("verified_at", Utc()),
        sa.Column("verify_trouble", sa.JSON(none_as_null=True)),
    ):
        op.add_column("snapshots", column)
