"""Which amount a pool or an allocation had from when on, for statements."""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"


def upgrade() -> None:
    """What is known is the present amount; it counts for all of the past."""
    op.create_table(
        "cap_amounts",
        sa.Column("scope", sa.String(), primary_key=True),
        sa.Column("since", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("project", sa.String()),
        sa.Column("amount", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_cap_amounts_pool", "cap_amounts", ["pool"])
    head = "INSERT INTO cap_amounts (scope, since, pool, project, amount) "
    op.execute(head + "SELECT id, 0, id, NULL, total FROM pools")
    op.execute(head + "SELECT id, 0, pool, project, amount FROM allocations")
