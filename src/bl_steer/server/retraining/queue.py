"""What is worth painting next, and what was painted: a user's own fields and pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from bl_steer.server.db.tables import Correction, GroupFile, GroupMember, Job, Upload, User
from bl_steer.server.viewing.views import cut_key, field_titles, phases_of_job, views_of

__all__ = ["GivenPair", "UnsureField", "pairs_of", "unsure_fields"]

LOOKED_THROUGH = 50
"""The latest segmentations among which unsure fields are sought."""
MOST = 20


@dataclass(frozen=True)
class UnsureField:
    """A field that nobody has painted yet.

    Parameters
    ----------
    address : where it is painted
    uncertainty : mean over its pixels, 0 … 1
    """

    address: str
    title: str
    uncertainty: float


@dataclass(frozen=True)
class GivenPair:
    """A micrograph with the mask that was painted for it.

    Parameters
    ----------
    by : who painted it
    created : when, s since 1970
    trains : whether it may serve to train now
    """

    image: Upload
    mask: Upload
    by: str
    created: float
    trains: bool


def unsure_fields(session: Session, user_id: str, *, without: str = "") -> list[UnsureField]:
    """Return a user's fields that may train and have no mask, the least sure first.

    Parameters
    ----------
    without : an image that is left out, as `cut_key` names it
    """
    painted, masks = _painted(session)
    painted.add(without)
    latest = (
        select(Job)
        .where(
            Job.user_id == user_id,
            Job.state == "done",
            or_(Job.analysis == "segment", Job.package_sha256.is_not(None)),
        )
        .order_by(Job.created.desc())
        .limit(LOOKED_THROUGH)
    )
    found: dict[str, UnsureField] = {}
    for job in session.scalars(latest):
        unsure = _uncertainty(job)
        if not unsure or not phases_of_job(job):
            continue
        uploads = {u.id: u for u in session.scalars(_uploads(job))}
        titles = field_titles(job, uploads)
        for view in views_of(session, job):
            upload = uploads.get(view.upload_id)
            if upload is None or view.name not in unsure or upload.id in masks:
                continue
            key = cut_key(job, view, view.page)
            if upload.may_train and key not in painted and key not in found:
                found[key] = UnsureField(
                    f"/jobs/{job.id}/paint/{quote(view.name)}",
                    titles.get(view.name, upload.file_name),
                    unsure[view.name],
                )
    return sorted(found.values(), key=lambda one: -one.uncertainty)[:MOST]


def _painted(session: Session) -> tuple[set[str], set[str]]:
    """Return the images that have a mask, as `cut_key` names them, and the ids of all masks."""
    rows = session.execute(
        select(Correction.image_id, Upload.cut_of, Correction.mask_id).join(
            Upload, Upload.id == Correction.image_id
        )
    ).all()
    images = {f"{image_id}#0" for image_id, _, _ in rows} | {cut for _, cut, _ in rows if cut}
    return images, {mask_id for _, _, mask_id in rows}


def pairs_of(session: Session, user_id: str) -> list[GivenPair]:
    """Return a user's pairs, and those of micrographs that a group shares, the newest first.

    Of an image that was painted anew, the latest.
    """
    image, mask = aliased(Upload), aliased(Upload)
    groups = select(GroupMember.group_id).where(GroupMember.user_id == user_id)
    shared = select(GroupFile.upload_id).where(GroupFile.group_id.in_(groups))
    rows = session.execute(
        select(Correction, image, mask, User)
        .join(image, image.id == Correction.image_id)
        .join(mask, mask.id == Correction.mask_id)
        .join(User, User.id == Correction.user_id)
        .where(
            or_(image.user_id == user_id, image.id.in_(shared)),
            image.deleted.is_(None),
            mask.deleted.is_(None),
        )
        .order_by(Correction.created.desc())
    )
    latest: dict[str, GivenPair] = {}
    for correction, i, m, user in rows:
        trains = i.may_train and m.may_train
        pair = GivenPair(i, m, user.name or user.email, correction.created, trains)
        latest.setdefault(i.id, pair)
    return list(latest.values())


def _uploads(job: Job) -> Any:
    return select(Upload).where(Upload.id.in_(job.upload_ids), Upload.deleted.is_(None))


def _uncertainty(job: Job) -> dict[str, float]:
    said: Any = job.provenance.get("mean_uncertainty")
    known = said.items() if isinstance(said, dict) else ()
    return {str(name): float(value) for name, value in known if isinstance(value, int | float)}
