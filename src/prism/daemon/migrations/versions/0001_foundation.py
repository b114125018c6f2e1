"""The foundation: events, repeats, profiles, workspaces."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BRING_UPS = (
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("template", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("verb", sa.String, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
)

EVENTS = (
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("event", sa.String, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
)

IDEMPOTENCY_KEYS = (
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("body", sa.String(64), nullable=False),
    sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
)

PROFILES = (
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("aws_profile", sa.String),
    sa.Column("region", sa.String),
    sa.Column("default_project", sa.String),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("last_used", sa.DateTime(timezone=True)),
)

WORKSPACES = (
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("profile", sa.String, nullable=False),
    sa.Column("place", sa.String, nullable=False),
    sa.Column("template", sa.String, nullable=False),
    sa.Column("recipe", sa.JSON, nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("instance_type", sa.String, nullable=False),
    sa.Column("region", sa.String, nullable=False),
    sa.Column("expected_id", sa.String),
    sa.Column("spot", sa.Boolean, nullable=False),
    sa.Column("hourly_rate", sa.BigInteger),
    sa.Column("price_source", sa.String),
    sa.Column("hibernation", sa.Boolean, nullable=False),
    sa.Column("root_gb", sa.Integer, nullable=False),
    sa.Column("root_type", sa.String, nullable=False),
    sa.Column("project", sa.String),
    sa.Column("project_name", sa.String),
    sa.Column("allocation", sa.String),
    sa.Column("pool", sa.String),
    sa.Column("budget", sa.String),
    sa.Column("idle_profile", sa.String),
    sa.Column("launched_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("verb", sa.String, nullable=False),
    sa.Column("wish", sa.Integer, nullable=False),
    sa.Column("wished_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True)),
    sa.Column("reserved_until", sa.DateTime(timezone=True)),
    sa.Column("seen", sa.String, nullable=False),
    sa.Column("granted", sa.Integer, nullable=False),
    sa.Column("tried", sa.Integer, nullable=False),
    sa.Column("asked_at", sa.DateTime(timezone=True)),
    sa.Column("told_expiry", sa.DateTime(timezone=True)),
    sa.Column("ended_at", sa.DateTime(timezone=True)),
    sa.Column("ready_at", sa.DateTime(timezone=True)),
    sa.Column("machine_id", sa.String),
    sa.Column("public_ip", sa.String),
    sa.Column("private_ip", sa.String),
    sa.Column("stage", sa.String),
    sa.Column("progress", sa.Integer, nullable=False),
    sa.Column("hibernated_at", sa.DateTime(timezone=True)),
    sa.Column("failure", sa.JSON),
    sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("lease", sa.String),
    sa.Column("lease_until", sa.DateTime(timezone=True)),
    sa.Column("attempts", sa.Integer, nullable=False),
)

ACTIVE_PROFILES = (
    sa.Column("actor", sa.String, primary_key=True),
    sa.Column("profile", sa.String, sa.ForeignKey("profiles.name"), nullable=False),
)


def upgrade() -> None:
    """Go there."""
    op.create_table("bring_ups", *BRING_UPS)
    op.create_table("events", *EVENTS, sqlite_autoincrement=True)
    op.create_table("idempotency_keys", *IDEMPOTENCY_KEYS)
    op.create_table("profiles", *PROFILES)
    op.create_table("workspaces", *WORKSPACES)
    op.create_table("active_profiles", *ACTIVE_PROFILES)
    _index()


def _index() -> None:
    op.create_index("bring_ups_of", "bring_ups", ["template", "provider", "verb"])
    op.create_index("ix_events_subject", "events", ["subject"])
    op.create_index("ix_idempotency_keys_kept_at", "idempotency_keys", ["kept_at"])
    op.create_index("ix_workspaces_due_at", "workspaces", ["due_at"])
    op.create_index("ix_workspaces_expected_id", "workspaces", ["expected_id"])
    op.create_index("ix_workspaces_lease_until", "workspaces", ["lease_until"])
    op.create_index("ix_workspaces_machine_id", "workspaces", ["machine_id"])
    op.create_index("ix_workspaces_name", "workspaces", ["name"])
    op.create_index("ix_workspaces_place", "workspaces", ["place"])
    op.create_index("ix_workspaces_project", "workspaces", ["project"])
    op.create_index(
        "workspaces_live_name",
        "workspaces",
        ["name"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_active_profiles_profile", "active_profiles", ["profile"])
