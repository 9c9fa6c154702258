"""Find jobs, files and mails of many years by indices, and note whose files were deleted"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDICES = {
    "jobs_of_user_by_state": ("jobs", ["user_id", "state", "created"], None),
    "jobs_of_user_by_analysis": ("jobs", ["user_id", "analysis", "created"], None),
    "jobs_by_end": ("jobs", ["state", "finished"], None),
    "jobs_to_empty": ("jobs", ["finished"], "emptied IS NULL"),
    "uploads_to_delete": ("uploads", ["created"], "deleted IS NULL"),
    "outbox_by_age": ("outbox", ["created"], None),
}


def upgrade() -> None:
    """Change the tables."""
    op.add_column("jobs", sa.Column("emptied", sa.Float(precision=53), nullable=True))
    for name, (table, columns, of) in INDICES.items():
        where = None if of is None else sa.text(of)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Undo it."""
    for name, (table, _, _) in INDICES.items():
        op.drop_index(name, table)
    with op.batch_alter_table("jobs") as batch:
        batch.drop_column("emptied")
