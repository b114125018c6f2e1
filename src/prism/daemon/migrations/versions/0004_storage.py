"""Volumes, what they are attached to, and their snapshots."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

SNAPSHOTS = (
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("place", sa.String, nullable=False),
    sa.Column("project", sa.String),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("source_id", sa.String, nullable=False),
    sa.Column("source_name", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("size_gb", sa.Integer),
    sa.Column("volume_type", sa.String),
    sa.Column("iops", sa.Integer),
    sa.Column("throughput", sa.Integer),
    sa.Column("gb_month", sa.BigInteger),
    sa.Column("holds", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("verb", sa.String, nullable=False),
    sa.Column("wish", sa.Integer, nullable=False),
    sa.Column("seen", sa.String, nullable=False),
    sa.Column("granted", sa.Integer, nullable=False),
    sa.Column("tried", sa.Integer, nullable=False),
    sa.Column("asked_at", sa.DateTime(timezone=True)),
    sa.Column("copy_id", sa.String),
    sa.Column("used_bytes", sa.BigInteger),
    sa.Column("trouble", sa.JSON),
    sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("lease", sa.String),
    sa.Column("lease_until", sa.DateTime(timezone=True)),
    sa.Column("attempts", sa.Integer, nullable=False),
)

VOLUMES = (
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("place", sa.String, nullable=False),
    sa.Column("project", sa.String),
    sa.Column("size_gb", sa.Integer),
    sa.Column("volume_type", sa.String),
    sa.Column("iops", sa.Integer),
    sa.Column("throughput", sa.Integer),
    sa.Column("gb_month", sa.BigInteger),
    sa.Column("notes", sa.JSON, nullable=False),
    sa.Column("from_snapshot", sa.String),
    sa.Column("expected_id", sa.String),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("verb", sa.String, nullable=False),
    sa.Column("wish", sa.Integer, nullable=False),
    sa.Column("seen", sa.String, nullable=False),
    sa.Column("granted", sa.Integer, nullable=False),
    sa.Column("asked_at", sa.DateTime(timezone=True)),
    sa.Column("disk_id", sa.String),
    sa.Column("used_bytes", sa.BigInteger),
    sa.Column("trouble", sa.JSON),
    sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("lease", sa.String),
    sa.Column("lease_until", sa.DateTime(timezone=True)),
    sa.Column("attempts", sa.Integer, nullable=False),
)

ATTACHMENTS = (
    sa.Column("volume", sa.String, sa.ForeignKey("volumes.id"), primary_key=True),
    sa.Column("workspace", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("wanted", sa.Boolean, nullable=False),
    sa.Column("attached", sa.Boolean, nullable=False),
    sa.Column("machine", sa.String),
)


def upgrade() -> None:
    """Go there."""
    op.create_table("snapshots", *SNAPSHOTS)
    op.create_table("volumes", *VOLUMES)
    op.create_table("attachments", *ATTACHMENTS)
    _index()


def _index() -> None:
    op.create_index("ix_snapshots_copy_id", "snapshots", ["copy_id"])
    op.create_index("ix_snapshots_due_at", "snapshots", ["due_at"])
    op.create_index("ix_snapshots_lease_until", "snapshots", ["lease_until"])
    op.create_index("ix_snapshots_place", "snapshots", ["place"])
    op.create_index("ix_snapshots_project", "snapshots", ["project"])
    op.create_index("ix_snapshots_source_id", "snapshots", ["source_id"])
    op.create_index("ix_volumes_disk_id", "volumes", ["disk_id"])
    op.create_index("ix_volumes_due_at", "volumes", ["due_at"])
    op.create_index("ix_volumes_expected_id", "volumes", ["expected_id"])
    op.create_index("ix_volumes_from_snapshot", "volumes", ["from_snapshot"])
    op.create_index("ix_volumes_lease_until", "volumes", ["lease_until"])
    op.create_index("ix_volumes_place", "volumes", ["place"])
    op.create_index("ix_volumes_project", "volumes", ["project"])
    op.create_index("ix_attachments_workspace", "attachments", ["workspace"])
