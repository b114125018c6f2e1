"""Idleness: profiles, what is watched how, what was done."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

MOMENT = sa.DateTime(timezone=True)
WATCHES: tuple[Any, ...] = (
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("place", sa.String(), nullable=False),
    sa.Column("machine", sa.String()),
    sa.Column("profile", sa.String()),
    sa.Column("enabled", sa.Boolean(), nullable=False),
    sa.Column("custom_minutes", sa.Integer()),
    sa.Column("awake_until", MOMENT),
    sa.Column("told", sa.String()),
    sa.Column("due_at", MOMENT, nullable=False),
    sa.Column("lease", sa.String()),
    sa.Column("lease_until", MOMENT),
    sa.Column("attempts", sa.Integer(), nullable=False),
)
PROFILES: tuple[Any, ...] = (
    sa.Column("name", sa.String(), primary_key=True),
    sa.Column("description", sa.String(), nullable=False),
    sa.Column("idle_threshold_minutes", sa.Integer(), nullable=False),
    sa.Column("action", sa.String(), nullable=False),
    sa.Column("cpu_threshold", sa.Float()),
    sa.Column("memory_threshold", sa.Float()),
    sa.Column("network_threshold", sa.BigInteger()),
    sa.Column("disk_threshold", sa.BigInteger()),
    sa.Column("gpu_threshold", sa.Float()),
)
HISTORY: tuple[Any, ...] = (
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("workspace", sa.String(), nullable=False),
    sa.Column("instance_name", sa.String(), nullable=False),
    sa.Column("action", sa.String(), nullable=False),
    sa.Column("trigger_time", MOMENT, nullable=False),
    sa.Column("seconds", sa.Integer(), nullable=False),
    sa.Column("profile", sa.String(), nullable=False),
    sa.Column("rate", sa.BigInteger()),
    sa.Column("note", sa.String()),
    sa.Column("woken_at", MOMENT),
    sa.UniqueConstraint("workspace", "trigger_time"),
)


def upgrade() -> None:
    """Make the tables of idleness; what was launched before is watched as it was ordered."""
    op.create_table("idle_history", *HISTORY)
    op.create_table("idle_profiles", *PROFILES)
    op.create_table("idle_watches", *WATCHES)
    op.create_index("ix_idle_history_trigger_time", "idle_history", ["trigger_time"])
    op.create_index("ix_idle_watches_due_at", "idle_watches", ["due_at"])
    op.create_index("ix_idle_watches_lease_until", "idle_watches", ["lease_until"])
    op.create_index("ix_idle_watches_profile", "idle_watches", ["profile"])
    op.execute(
        "INSERT INTO idle_watches (id, place, machine, profile, enabled, due_at, attempts) "
        "SELECT id, place, machine_id, idle_profile, true, wished_at, 0 FROM workspaces "
        "WHERE ended_at IS NULL"
    )
