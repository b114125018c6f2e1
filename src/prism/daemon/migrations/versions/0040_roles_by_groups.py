"""The roles in projects that follow from groups at an identity provider."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    """Nobody has any yet."""
    op.create_table(
        "group_roles",
        sa.Column("person", sa.String(), primary_key=True),
        sa.Column("project", sa.String(), primary_key=True),
        sa.Column("issuer", sa.String(), primary_key=True),
        sa.Column("role", sa.String(), nullable=False),
    )
