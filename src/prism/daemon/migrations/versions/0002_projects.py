"""Projects, their people, and what the past keeps."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ARCHIVED_EVENTS = (
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("event", sa.String, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
)

PROJECTS = (
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("description", sa.String, nullable=False),
    sa.Column("cap", sa.BigInteger),
    sa.Column("alert_threshold", sa.Float, nullable=False),
    sa.Column("auto_hibernate_threshold", sa.Float),
    sa.Column("prevent_launch_threshold", sa.Float, nullable=False),
    sa.Column("created_by", sa.String, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
)

INVITATIONS = (
    sa.Column("id", sa.String, primary_key=True),
    sa.Column(
        "project", sa.String, sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("email", sa.String, nullable=False),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("message", sa.String, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("token", sa.String),
    sa.Column("invited_by", sa.String, nullable=False),
    sa.Column("invited_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("answer", sa.String),
    sa.Column("answered_at", sa.DateTime(timezone=True)),
    sa.Column("reason", sa.String),
    sa.Column("resend_count", sa.Integer, nullable=False),
    sa.Column("last_resent", sa.DateTime(timezone=True)),
    sa.Column("mailed_at", sa.DateTime(timezone=True)),
    sa.Column("mail_problem", sa.String),
)

MEMBERS = (
    sa.Column(
        "project", sa.String, sa.ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("email", sa.String, primary_key=True),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("join_date", sa.DateTime(timezone=True), nullable=False),
)

TOKENS = (
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("scope", sa.String, nullable=False),
    sa.Column("project", sa.String, sa.ForeignKey("projects.id", ondelete="CASCADE")),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("created_by", sa.String, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("last_used", sa.DateTime(timezone=True)),
)

INVITATION_MAILS = (
    sa.Column("id", sa.String, primary_key=True),
    sa.Column(
        "invitation",
        sa.String,
        sa.ForeignKey("invitations.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("token", sa.String, nullable=False),
    sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("lease", sa.String),
    sa.Column("lease_until", sa.DateTime(timezone=True)),
    sa.Column("attempts", sa.Integer, nullable=False),
)


def upgrade() -> None:
    """Go there."""
    op.create_table("archived_events", *ARCHIVED_EVENTS)
    op.create_table("projects", *PROJECTS)
    op.create_table("invitations", *INVITATIONS)
    op.create_index("ix_invitations_email", "invitations", ["email"])
    op.create_index("ix_invitations_project", "invitations", ["project"])
    op.create_table("members", *MEMBERS)
    op.create_index("ix_members_email", "members", ["email"])
    op.create_table("tokens", *TOKENS)
    op.create_index("ix_tokens_user", "tokens", ["user"])
    op.create_table("invitation_mails", *INVITATION_MAILS)
    op.create_index("ix_invitation_mails_due_at", "invitation_mails", ["due_at"])
    op.create_index("ix_invitation_mails_lease_until", "invitation_mails", ["lease_until"])
