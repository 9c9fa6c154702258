"""Have groups that share files and jobs, and images that are cut out of stacks"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "groups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    for table, key, others in (
        ("group_members", "user_id", "users"),
        ("group_files", "upload_id", "uploads"),
        ("group_jobs", "job_id", "jobs"),
    ):
        manages: list[sa.Column[bool]] = []
        if others == "users":
            manages.append(sa.Column("manages", sa.Boolean(), nullable=False))
        op.create_table(
            table,
            sa.Column("group_id", sa.String(length=36), nullable=False),
            sa.Column(key, sa.String(length=36), nullable=False),
            *manages,
            sa.Column("since", sa.Float(precision=53), nullable=False),
            sa.ForeignKeyConstraint(["group_id"], ["groups.id"]),
            sa.ForeignKeyConstraint([key], [f"{others}.id"]),
            sa.PrimaryKeyConstraint("group_id", key),
        )
        op.create_index(f"ix_{table}_{key}", table, [key])
    op.add_column("uploads", sa.Column("cut_of", sa.String(length=120), nullable=True))
    op.create_index("ix_uploads_cut_of", "uploads", ["cut_of"])
    op.add_column(
        "outbox", sa.Column("invites", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Undo it."""
    with op.batch_alter_table("outbox") as batch:
        batch.drop_column("invites")
    op.drop_index("ix_uploads_cut_of", "uploads")
    with op.batch_alter_table("uploads") as batch:
        batch.drop_column("cut_of")
    for table in ("group_jobs", "group_files", "group_members", "groups"):
        op.drop_table(table)
