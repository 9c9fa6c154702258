"""Find jobs by the names and specimens of their files"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FILES = {
    "sqlite": "SELECT DISTINCT jobs.id, one.value FROM jobs, json_each(jobs.upload_ids) AS one",
    "postgresql": "SELECT DISTINCT jobs.id, one.value FROM jobs, "
    "json_array_elements_text(jobs.upload_ids) AS one(value)",
}


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "job_files",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("upload_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "upload_id"),
    )
    files = FILES[op.get_bind().dialect.name]
    op.execute(sa.text(f"INSERT INTO job_files (job_id, upload_id) {files}"))
    op.create_index("ix_job_files_upload_id", "job_files", ["upload_id"])


def downgrade() -> None:
    """Undo it."""
    op.drop_table("job_files")
