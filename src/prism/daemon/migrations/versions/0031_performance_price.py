"""The monthly price of a volume's provisioned IOPS and throughput; null for older volumes."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Add the column; a volume without it is priced by what gp3 includes."""
    op.add_column("volumes", sa.Column("performance_month", sa.BigInteger))
