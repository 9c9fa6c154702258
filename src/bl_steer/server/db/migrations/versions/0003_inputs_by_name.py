"""Keep which upload is which input of a job, where an analysis has several"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.add_column("jobs", sa.Column("inputs", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Undo it."""
    with op.batch_alter_table("jobs") as batch:
        batch.drop_column("inputs")
