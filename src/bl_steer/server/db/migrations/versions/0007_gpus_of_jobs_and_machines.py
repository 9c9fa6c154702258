"""Note how many GPUs a job needs, and what the machines of a cluster offer"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.add_column("jobs", sa.Column("gpus", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("workers", sa.Column("gpus", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Undo it."""
    for table in ("workers", "jobs"):
        with op.batch_alter_table(table) as batch:
            batch.drop_column("gpus")
