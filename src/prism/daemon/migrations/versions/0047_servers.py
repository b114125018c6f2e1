"""Profiles of lab servers: the host, and what an hour there costs."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    """The profiles of before lead to no server."""
    op.add_column("profiles", sa.Column("host", sa.String()))
    for rate in ("cpu_hour", "gb_hour", "gpu_hour"):
        op.add_column("profiles", sa.Column(rate, sa.Float()))
