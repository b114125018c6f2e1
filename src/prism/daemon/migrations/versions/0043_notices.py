"""Notices, what waits to be sent by mail and webhook, webhooks, and what people have chosen."""

import sqlalchemy as sa
from alembic import op

from prism.kit.tables import Utc

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    """Make the tables; what happened before is told to nobody."""
    _notices()
    _queues()
    _deliveries()
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("paused_at", Utc()),
    )
    op.create_index("ix_webhooks_person", "webhooks", ["person"])
    op.create_table(
        "notice_preferences",
        sa.Column("person", sa.String(), primary_key=True),
        sa.Column("chosen", sa.JSON(), nullable=False),
    )
    op.create_table(
        "notice_progress",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("value", sa.String(), nullable=False),
    )
    newest = op.get_bind().execute(sa.text("SELECT coalesce(max(id), 0) FROM events")).scalar()
    op.execute(
        sa.text("INSERT INTO notice_progress (name, value) VALUES ('events', :id)").bindparams(
            id=str(newest)
        )
    )


def _notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("project", sa.String()),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("command", sa.String(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("read_at", Utc()),
    )
    op.create_index("notices_once", "notices", ["person", "key"], unique=True)


def _queues() -> None:
    op.create_table(
        "notice_queues",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("digest", sa.String()),
        sa.Column("digest_at", Utc()),
        sa.Column("sent_at", Utc()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", Utc()),
        sa.Column("problem", sa.String()),
        sa.Column("due_at", Utc(), nullable=False),
        sa.Column("lease", sa.String()),
        sa.Column("lease_until", Utc()),
        sa.Column("attempts", sa.Integer(), nullable=False),
    )
    op.create_index("ix_notice_queues_person", "notice_queues", ["person"])
    op.create_index("ix_notice_queues_due_at", "notice_queues", ["due_at"])
    _partial_index(
        "notice_queues_leased", "notice_queues", "lease_until", "lease_until IS NOT NULL"
    )


def _deliveries() -> None:
    op.create_table(
        "notice_deliveries",
        sa.Column(
            "notice",
            sa.String(),
            sa.ForeignKey("notices.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column(
            "queue",
            sa.String(),
            sa.ForeignKey("notice_queues.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("queued_at", Utc(), nullable=False),
        sa.Column("digest", sa.String()),
        sa.Column("done_at", Utc()),
        sa.Column("problem", sa.String()),
    )
    _partial_index("notice_deliveries_waiting", "notice_deliveries", "queue", "done_at IS NULL")


def _partial_index(name: str, table: str, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, [column], sqlite_where=condition, postgresql_where=condition)
