"""Note which workers were told to end, and in which language somebody reads pages"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.add_column("workers", sa.Column("ended", sa.Float(), nullable=True))
    op.add_column("users", sa.Column("reads", sa.String(8), nullable=False, server_default=""))


def downgrade() -> None:
    """Undo it."""
    for table, column in (("users", "reads"), ("workers", "ended")):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column)
