"""Alembic asks this module for the connection and the tables of today."""

from __future__ import annotations

from alembic import context

from bl_steer.server.db.tables import Base


def run() -> None:
    """Carry out what Alembic was asked for, on the connection that it was given."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite changes a table by making it anew
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
