"""Keep the names and specimens of files as they are searched"""

from __future__ import annotations

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.add_column("uploads", sa.Column("searched", sa.Text(), nullable=False, server_default=""))
    names = ("id", "file_name", "sample", "searched")
    uploads = sa.table("uploads", *(sa.column(name, sa.Text()) for name in names))
    connection = op.get_bind()
    rows = connection.execute(sa.select(uploads.c.id, uploads.c.file_name, uploads.c.sample)).all()
    changed = [{"key": key, "text": _folded(f"{name} {sample}")} for key, name, sample in rows]
    if changed:
        change = uploads.update().where(uploads.c.id == sa.bindparam("key"))
        connection.execute(change.values(searched=sa.bindparam("text")), changed)


def downgrade() -> None:
    """Undo it."""
    with op.batch_alter_table("uploads") as batch:
        batch.drop_column("searched")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
