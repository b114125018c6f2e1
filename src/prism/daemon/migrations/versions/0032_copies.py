"""Copies of snapshots elsewhere, their schedules, and snapshots that were fetched."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """Begin without copies; every snapshot was taken here."""
    op.add_column("snapshots", sa.Column("origin", sa.JSON(none_as_null=True), nullable=True))
    op.create_table("snapshot_copies", *_identity(), *_copy(), *_lease())
    op.create_table("copy_schedules", *_identity(), *_schedule(), *_lease())
    for column in ("snapshot", "schedule", "due_at"):
        op.create_index(f"ix_snapshot_copies_{column}", "snapshot_copies", [column])
    for column in ("source_id", "due_at"):
        op.create_index(f"ix_copy_schedules_{column}", "copy_schedules", [column])
    held = sa.text("lease_until IS NOT NULL")
    for table in ("snapshot_copies", "copy_schedules"):
        op.create_index(
            f"{table}_leased",
            table,
            ["lease_until"],
            sqlite_where=held,
            postgresql_where=held,
        )


def _identity() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("source_name", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=True),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("profile", sa.String(), nullable=True),
        sa.Column("verify", sa.String(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("trouble", sa.JSON(none_as_null=True), nullable=True),
    ]


def _copy() -> list[sa.Column[object]]:
    return [
        sa.Column("snapshot", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("schedule", sa.String(), nullable=True),
        sa.Column("keep", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("begun", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=True),
        sa.Column("total_bytes", sa.BigInteger(), nullable=True),
        sa.Column("added_bytes", sa.BigInteger(), nullable=True),
        sa.Column("remote_id", sa.String(), nullable=True),
        sa.Column("same_disk", sa.Boolean(), nullable=True),
        sa.Column("ended_at", Utc(), nullable=True),
        sa.Column("verified_at", Utc(), nullable=True),
    ]


def _schedule() -> list[sa.Column[object]]:
    return [
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("every", sa.String(), nullable=False),
        sa.Column("keep", sa.Integer(), nullable=False),
        sa.Column("begun_at", Utc(), nullable=True),
        sa.Column("snapshot", sa.String(), nullable=True),
        sa.Column("previous", sa.String(), nullable=True),
        sa.Column("copy", sa.String(), nullable=True),
        sa.Column("is_running", sa.Boolean(), nullable=False),
        sa.Column("succeeded_at", Utc(), nullable=True),
    ]


def _lease() -> list[sa.Column[object]]:
    return [
        sa.Column("due_at", Utc(), nullable=False),
        sa.Column("lease", sa.String(), nullable=True),
        sa.Column("lease_until", Utc(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
    ]
