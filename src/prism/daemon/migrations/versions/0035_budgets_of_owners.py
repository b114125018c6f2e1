"""Who set the budget of a project: its owner, or the operator, as for all that are older."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    """Add the column; only the operator may raise what was set before."""
    is_owners = sa.Column("set_by_owner", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("projects", is_owners)
