"""How many notices to a person each other person has caused in a day."""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"


def upgrade() -> None:
    """Make the table; nobody has caused any."""
    op.create_table(
        "notice_acts",
        *(
            sa.Column(name, sa.String(), primary_key=True)
            for name in ("person", "actor", "kind", "day")
        ),
        sa.Column("count", sa.Integer(), nullable=False),
    )
