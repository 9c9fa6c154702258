"""Tell browsers that are signed in apart, make links for new passwords, hand accounts over"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "password_resets",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("expires", sa.Float(precision=53), nullable=False),
        sa.Column("used", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index("ix_password_resets_user_id", "password_resets", ["user_id"])
    op.add_column("outbox", sa.Column("reset_user_id", sa.String(length=36), nullable=True))
    op.add_column("sessions", sa.Column("seen", sa.Float(precision=53), nullable=True))
    for name, length in (("address", 64), ("agent", 300)):
        column = sa.Column(name, sa.String(length=length), nullable=False, server_default="")
        op.add_column("sessions", column)
    op.add_column("uploads", sa.Column("giver_id", sa.String(length=36), nullable=True))
    op.add_column("users", sa.Column("heir_id", sa.String(length=36), nullable=True))


def downgrade() -> None:
    """Undo it."""
    for table, names in (
        ("users", ("heir_id",)),
        ("uploads", ("giver_id",)),
        ("sessions", ("agent", "address", "seen")),
        ("outbox", ("reset_user_id",)),
    ):
        with op.batch_alter_table(table) as batch:
            for name in names:
                batch.drop_column(name)
    op.drop_table("password_resets")
