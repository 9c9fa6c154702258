"""The tables of groups that share files and results; `bl_steer.server.db.tables` has all."""

from __future__ import annotations

import time

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from bl_steer.server.db.schema import Base, new_id

__all__ = ["Group", "GroupFile", "GroupJob", "GroupMember"]


class Group(Base):
    """People who see what its members share with it."""

    __tablename__ = "groups"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200))
    created: Mapped[float] = mapped_column(default=time.time)


class GroupMember(Base):
    """Somebody in a group; who ``manages`` it adds and removes members."""

    __tablename__ = "group_members"

    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    manages: Mapped[bool] = mapped_column(default=False)
    since: Mapped[float] = mapped_column(default=time.time)


class GroupFile(Base):
    """An upload that its owner shares with a group."""

    __tablename__ = "group_files"

    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id"), primary_key=True)
    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id"), primary_key=True, index=True)
    since: Mapped[float] = mapped_column(default=time.time)


class GroupJob(Base):
    """A job that its owner shares with a group."""

    __tablename__ = "group_jobs"

    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id"), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True, index=True)
    since: Mapped[float] = mapped_column(default=time.time)
