"""What all tables have in common; the tables are in `bl_steer.server.db.tables`."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import uuid4

from sqlalchemy import JSON, Float
from sqlalchemy.orm import DeclarativeBase

__all__ = ["Base", "new_id"]


def new_id() -> str:
    """Return a new id that nobody guesses."""
    return str(uuid4())


class Base(DeclarativeBase):
    """All tables of the server."""

    type_annotation_map: ClassVar = {dict[str, Any]: JSON, list[str]: JSON, float: Float(53)}
