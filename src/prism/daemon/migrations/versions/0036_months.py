"""Storage costs the same in each calendar month, so its times are stored in month time too."""

import sqlalchemy as sa
from alembic import op

from prism.costs.months import month_time

revision = "0036"
down_revision = "0035"
OF_DISKS = ("disk_since", "disk_until", "part_until")


def upgrade() -> None:
    """Add the columns; segments that exist count as they were booked."""
    for name in ("month_began", "month_ended"):
        op.add_column("segments", sa.Column(name, sa.BigInteger))
    for name in OF_DISKS:
        column = sa.Column(f"{name}_month", sa.BigInteger, nullable=False, server_default="0")
        op.add_column("reservations", column)
    columns = ("id", *OF_DISKS, *(f"{name}_month" for name in OF_DISKS))
    table, sql = sa.table("reservations", *map(sa.column, columns)), op.get_bind()
    rows = sql.execute(sa.select(table.c.id, *(table.c[name] for name in OF_DISKS))).all()
    for id, *times in rows:
        months = {
            f"{name}_month": month_time(at) for name, at in zip(OF_DISKS, times, strict=True)
        }
        sql.execute(table.update().where(table.c.id == id).values(months))
