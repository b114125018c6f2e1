"""Indexes for reading the audit log by actor, and its older part by subject."""

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Make the indexes; on a million events this takes some seconds."""
    op.create_index("ix_events_actor", "events", ["actor"])
    op.create_index("ix_archived_events_actor", "archived_events", ["actor"])
    op.create_index("ix_archived_events_subject", "archived_events", ["subject"])
