"""What each workspace did in the last 24 hours, in steps of ten minutes."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Make the table; what was done before is not known."""
    op.create_table(
        "activity_steps",
        sa.Column("workspace", sa.String(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("step", sa.String(), nullable=False),
    )
    op.create_index("ix_activity_steps_number", "activity_steps", ["number"])
