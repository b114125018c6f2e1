"""The ledger, and the caps it is held against."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ACCOUNTS = (
    sa.Column("resource", sa.String, primary_key=True),
    sa.Column("project", sa.String, primary_key=True),
    sa.Column("no", sa.Integer, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("paid", sa.BigInteger, nullable=False),
    sa.Column("unknown", sa.Boolean, nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
)

CROSSINGS = (
    sa.Column("scope", sa.String, primary_key=True),
    sa.Column("threshold", sa.String, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
)

DAYS = (
    sa.Column("scope", sa.String, primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True),
    sa.Column("compute", sa.BigInteger, nullable=False),
    sa.Column("root", sa.BigInteger, nullable=False),
    sa.Column("address", sa.BigInteger, nullable=False),
    sa.Column("volume", sa.BigInteger, nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("snapshot", sa.BigInteger, nullable=False),
    sa.Column("asleep", sa.BigInteger, nullable=False),
    sa.Column("shift", sa.Integer, nullable=False),
    sa.Column("who", sa.LargeBinary, nullable=False),
)

MARKS = (
    sa.Column("scope", sa.String, primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True),
    sa.Column("micros", sa.BigInteger, nullable=False),
)

POOLS = (
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("description", sa.String, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("period", sa.String, nullable=False),
    sa.Column("time_zone", sa.String, nullable=False),
    sa.Column("start_date", sa.DateTime(timezone=True), nullable=False),
    sa.Column("end_date", sa.DateTime(timezone=True)),
    sa.Column("alert_threshold", sa.Float, nullable=False),
    sa.Column("created_by", sa.String, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
)

REALLOCATIONS = (
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("destination", sa.String, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("reallocated_by", sa.String, nullable=False),
    sa.Column("reallocated_at", sa.DateTime(timezone=True), nullable=False),
)

RESERVATIONS = (
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("project", sa.String, nullable=False),
    sa.Column("allocation", sa.String),
    sa.Column("pool", sa.String),
    sa.Column("compute", sa.BigInteger),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Column("stopping", sa.BigInteger, nullable=False),
    sa.Column("running", sa.Boolean, nullable=False),
    sa.Column("disk", sa.BigInteger),
    sa.Column("disk_since", sa.BigInteger, nullable=False),
    sa.Column("disk_until", sa.BigInteger, nullable=False),
    sa.Column("kept", sa.Boolean, nullable=False),
    sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("lease", sa.String),
    sa.Column("lease_until", sa.DateTime(timezone=True)),
    sa.Column("attempts", sa.Integer, nullable=False),
)

SEGMENTS = (
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("no", sa.Integer, nullable=False),
    sa.Column("resource", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("profile", sa.String, nullable=False),
    sa.Column("template", sa.String),
    sa.Column("project", sa.String),
    sa.Column("allocation", sa.String),
    sa.Column("pool", sa.String),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("detail", sa.String, nullable=False),
    sa.Column("amount", sa.BigInteger),
    sa.Column("hours", sa.Integer, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("as_of", sa.Date),
    sa.Column("began", sa.BigInteger, nullable=False),
    sa.Column("ended", sa.BigInteger),
    sa.Column("reconstructed", sa.Boolean, nullable=False),
)

TOTALS = (
    sa.Column("scope", sa.String, primary_key=True),
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("micros", sa.BigInteger, nullable=False),
)

ALLOCATIONS = (
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("pool", sa.String, sa.ForeignKey("pools.id"), nullable=False),
    sa.Column("project", sa.String, sa.ForeignKey("projects.id"), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("alert_threshold", sa.Float, nullable=False),
    sa.Column("allocated_by", sa.String, nullable=False),
    sa.Column("allocated_at", sa.DateTime(timezone=True), nullable=False),
    sa.UniqueConstraint("pool", "project"),
)


def upgrade() -> None:
    """Go there."""
    op.create_table("accounts", *ACCOUNTS)
    op.create_table("crossings", *CROSSINGS)
    op.create_table("days", *DAYS)
    op.create_table("marks", *MARKS)
    op.create_table("pools", *POOLS)
    op.create_table("reallocations", *REALLOCATIONS)
    op.create_table("reservations", *RESERVATIONS)
    op.create_table("segments", *SEGMENTS)
    op.create_table("totals", *TOTALS)
    op.create_table("allocations", *ALLOCATIONS)
    _index()


def _index() -> None:
    op.create_index("ix_accounts_no", "accounts", ["no"])
    op.create_index("ix_accounts_project", "accounts", ["project"])
    op.create_index("ix_days_day", "days", ["day"])
    op.create_index("ix_reservations_allocation", "reservations", ["allocation"])
    op.create_index("ix_reservations_due_at", "reservations", ["due_at"])
    op.create_index("ix_reservations_lease_until", "reservations", ["lease_until"])
    op.create_index("ix_reservations_pool", "reservations", ["pool"])
    op.create_index("ix_reservations_project", "reservations", ["project"])
    op.create_index("segments_ended", "segments", ["ended"])
    op.create_index("segments_of", "segments", ["resource", "ended"])
    op.create_index(
        "segments_open",
        "segments",
        ["resource"],
        sqlite_where=sa.text("ended IS NULL"),
        postgresql_where=sa.text("ended IS NULL"),
    )
    op.create_index(
        "segments_open_allocation",
        "segments",
        ["allocation"],
        sqlite_where=sa.text("ended IS NULL"),
        postgresql_where=sa.text("ended IS NULL"),
    )
    op.create_index(
        "segments_open_pool",
        "segments",
        ["pool"],
        sqlite_where=sa.text("ended IS NULL"),
        postgresql_where=sa.text("ended IS NULL"),
    )
    op.create_index(
        "segments_open_project",
        "segments",
        ["project"],
        sqlite_where=sa.text("ended IS NULL"),
        postgresql_where=sa.text("ended IS NULL"),
    )
    op.create_index("ix_allocations_project", "allocations", ["project"])
