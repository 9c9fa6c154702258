"""The tables of `bl_steer.server.retraining`; `bl_steer.server.db.tables` has all."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from bl_steer.server.db.schema import Base, new_id

__all__ = ["Correction", "Retraining", "SamplePart", "Snapshot"]


class Correction(Base):
    """A mask that somebody painted or corrected for an upload: the two are a pair to train on."""

    __tablename__ = "corrections"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    image_id: Mapped[str] = mapped_column(ForeignKey("uploads.id"), index=True)
    mask_id: Mapped[str] = mapped_column(ForeignKey("uploads.id"), index=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    created: Mapped[float] = mapped_column(default=time.time)


class SamplePart(Base):
    """What a sample serves for, for ever: train, validation or hold-out."""

    __tablename__ = "sample_parts"

    sample: Mapped[str] = mapped_column(String(300), primary_key=True)
    part: Mapped[str] = mapped_column(String(12))
    since: Mapped[float] = mapped_column(default=time.time)


class Snapshot(Base):
    """The pairs at one time, by their hashes."""

    __tablename__ = "snapshots"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    manifest: Mapped[dict[str, Any]]
    created: Mapped[float] = mapped_column(default=time.time)


class Retraining(Base):
    """A model trained further; ``state`` is queued, running, done or failed."""

    __tablename__ = "retrainings"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    snapshot_sha256: Mapped[str] = mapped_column(ForeignKey("snapshots.sha256"), index=True)
    champion: Mapped[str] = mapped_column(String(200))
    """Content hash of a package, or the name of a model that comes with bl_steer."""
    state: Mapped[str] = mapped_column(String(8), default="queued")
    lease_until: Mapped[float] = mapped_column(default=0.0)
    message: Mapped[str] = mapped_column(Text, default="")
    report: Mapped[dict[str, Any]] = mapped_column(default=dict)
    package_sha256: Mapped[str | None] = mapped_column(String(64))
    """Of the candidate, once it was submitted."""
    created: Mapped[float] = mapped_column(default=time.time)
    finished: Mapped[float | None]
