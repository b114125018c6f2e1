"""Mail that is only a file is told from mail that has left."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """What was written before counts as it did: nobody knows any more whether it left."""
    op.add_column("invitations", sa.Column("mail_file", sa.String()))
