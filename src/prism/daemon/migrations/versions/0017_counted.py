"""What runs costs something until it was last seen to run; a disk has a horizon for each cap."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """What runs is taken to have been seen now, as it was counted before."""
    op.add_column("segments", sa.Column("counted", sa.BigInteger()))
    for name in ("part_until", "counted"):
        column = sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        op.add_column("reservations", column)
    zone = sa.Column("time_zone", sa.String(), nullable=False, server_default="UTC")
    op.add_column("ended_pools", zone)
    op.execute("UPDATE reservations SET part_until = disk_until")
    sqlite = op.get_bind().dialect.name == "sqlite"
    now = (
        "CAST(strftime('%s', 'now') AS INTEGER)" if sqlite else "extract(epoch FROM now())::bigint"
    )
    paid = "kind IN ('compute', 'address') AND amount > 0"
    op.execute(f"UPDATE segments SET counted = {now} WHERE ended IS NULL AND {paid}")
    op.execute(f"UPDATE reservations SET counted = {now} WHERE running AND compute > 0")
