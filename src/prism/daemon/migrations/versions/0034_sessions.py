"""Sessions of browsers, one-time codes, and accounts at identity providers."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    """Begin without sessions."""
    op.create_table("sessions", *_session())
    for column in ("user", "token", "subject", "provider_session"):
        op.create_index(f"ix_sessions_{column}", "sessions", [column])
    op.create_table(
        "login_codes",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.Column("challenge", sa.String(), nullable=True),
        sa.Column("computer", sa.String(), nullable=True),
        sa.Column("parent", sa.String(), nullable=True),
    )
    op.create_table(
        "identities",
        sa.Column("issuer", sa.String(), primary_key=True),
        sa.Column("subject", sa.String(), primary_key=True),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("first_login", Utc(), nullable=False),
        sa.Column("last_login", Utc(), nullable=False),
    )
    op.create_index("ix_identities_user", "identities", ["user"])


def _session() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=True),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("last_used", Utc(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("browser", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=True),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("provider_session", sa.String(), nullable=True),
        sa.Column("login", sa.String(64), nullable=True, unique=True),
    ]
