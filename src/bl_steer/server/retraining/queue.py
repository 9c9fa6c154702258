"""What is worth painting next, and what was painted: a user's own fields and pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from bl_steer.server.db.tables import Correction, GroupFile, GroupMember, Job, Upload, User
from bl_steer.server.viewing.views import cut_key, field_titles, phases_of_job, views_of

__all__ = ["LEAST_PX", "GivenPair", "Queue", "UnsureField", "pairs_of", "unsure_fields"]

LOOKED_THROUGH = 50
"""The latest segmentations among which unsure fields are sought."""
MOST = 20
LEAST_PX = 32
"""Along both edges of a field that is worth painting: networks are trained on patches as large."""


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
class Queue:
    """What waits to be painted.

    Parameters
    ----------
    fields : the least sure first
    too_small : title, rows and columns of those that are left out, since too little fits on them
    """

    fields: Sequence[UnsureField]
    too_small: Sequence[tuple[str, int, int]] = ()


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


def unsure_fields(session: Session, user_id: str, *, without: str = "") -> Queue:
    """Return a user's fields that may train and have no mask, the least sure first.

    What is smaller than `LEAST_PX` is told apart; of results of earlier versions, no size is known.

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
    small: dict[str, tuple[str, int, int]] = {}
    for job in session.scalars(latest):
        unsure = _uncertainty(job)
        if not unsure or not phases_of_job(job):
            continue
        uploads = {u.id: u for u in session.scalars(_uploads(job))}
        titles, shapes = field_titles(job, uploads), _shapes(job)
        for view in views_of(session, job):
            upload = uploads.get(view.upload_id)
            if upload is None or view.name not in unsure or upload.id in masks:
                continue
            key = cut_key(job, view, view.page)
            if not upload.may_train or key in painted or key in found or key in small:
                continue
            title = titles.get(view.name, upload.file_name)
            rows, columns = shapes.get(view.name, (LEAST_PX, LEAST_PX))
            if min(rows, columns) < LEAST_PX:
                small[key] = (title, rows, columns)
                continue
            address = f"/jobs/{job.id}/paint/{quote(view.name)}"
            found[key] = UnsureField(address, title, unsure[view.name])
    ranked = sorted(found.values(), key=lambda one: -one.uncertainty)
    return Queue(ranked[:MOST], list(small.values()))


def _painted(session: Session) -> tuple[set[str], set[str]]:
    """Return the images that have a mask, as `cut_key` names them, and the ids of all masks.

    Those whose mask is deleted have none; a plane whose image is deleted neither.
    """
    image, mask = aliased(Upload), aliased(Upload)
    there = (image.deleted.is_(None) & mask.deleted.is_(None)).label("there")
    rows = session.execute(
        select(Correction.image_id, image.cut_of, Correction.mask_id, there)
        .join(image, image.id == Correction.image_id)
        .join(mask, mask.id == Correction.mask_id)
    ).all()
    painted = [(image_id, cut) for image_id, cut, _, whole in rows if whole]
    images = {f"{image_id}#0" for image_id, _ in painted} | {cut for _, cut in painted if cut}
    return images, {mask_id for _, _, mask_id, _ in rows}


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


def _shapes(job: Job) -> dict[str, tuple[int, int]]:
    said: Any = job.provenance.get("shapes")
    known = said.items() if isinstance(said, dict) else ()
    return {
        str(name): (shape[0], shape[1])
        for name, shape in known
        if isinstance(shape, list) and [type(edge) for edge in shape] == [int, int]
    }


def _uncertainty(job: Job) -> dict[str, float]:
    said: Any = job.provenance.get("mean_uncertainty")
    known = said.items() if isinstance(said, dict) else ()
    return {str(name): float(value) for name, value in known if isinstance(value, int | float)}
