"""The link in the mail of an invitation that logs the invited person in once."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    """Mails that are queued have none."""
    op.add_column("invitation_mails", sa.Column("login", sa.String(), nullable=True))
