"""Which uploads may serve to train, paired with the masks that experts gave for them.

What may be used is decided at the upload, by the deployment's policy (`may_train`); what was
deleted or withdrawn since is left out of everything that begins later.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from bl_steer.server.db.audit import record_event
from bl_steer.server.db.tables import GroupFile, JobFile, Package, Upload, User
from bl_steer.server.db.training_tables import Correction, Retraining, Snapshot
from bl_steer.server.uploads.uploads import delete_upload

__all__ = [
    "TrainingPair",
    "UsedBy",
    "add_correction",
    "delete_earlier",
    "training_pairs",
    "used_by",
    "withdraw",
]

CLOCKS_S = 3600.0
"""By which the clocks of two hosts may differ."""


@dataclass(frozen=True)
class TrainingPair:
    """A micrograph and its mask, as uploads."""

    image_id: str
    mask_id: str
    image: str
    mask: str
    """Hashes in the file store."""
    image_name: str
    mask_name: str
    sample: str


@dataclass(frozen=True)
class UsedBy:
    """A snapshot that holds an upload, and the models that were trained on it."""

    snapshot: str
    retrainings: tuple[str, ...]
    packages: tuple[str, ...]
    """``name@version (state)``."""


def add_correction(session: Session, image_id: str, mask_id: str, user: User) -> Correction:
    """Pair a mask with the micrograph that it was painted for; a later one takes its place.

    Raises
    ------
    ValueError
        When either is no upload of that user, or is deleted.
    """
    ids = set(
        session.scalars(
            select(Upload.id).where(
                Upload.id.in_((image_id, mask_id)),
                Upload.user_id == user.id,
                Upload.deleted.is_(None),
            )
        )
    )
    if ids != {image_id, mask_id} or image_id == mask_id:
        raise ValueError(
            f"micrograph and mask must be two uploads of {user.email}, got {image_id} and "
            f"{mask_id}; upload both"
        )
    correction = Correction(image_id=image_id, mask_id=mask_id, user_id=user.id)
    session.add(correction)
    session.flush()
    record_event(session, user.email, "correction add", image_id, {"mask": mask_id})
    return correction


def delete_earlier(session: Session, latest: Correction, user: User) -> tuple[int, int]:
    """Delete the masks that the same user gave before for the image of a correction.

    The corrections stay, and the audit chain has who gave what, and when. A mask stays as a file
    where a job or a snapshot is of it, or where it is shared by itself.

    Returns how many were deleted, and how many stay.
    """
    given = select(Correction.mask_id).where(
        Correction.image_id == latest.image_id,
        Correction.mask_id != latest.mask_id,
        Correction.user_id == user.id,
    )
    query = select(Upload).where(
        Upload.id.in_(given), Upload.user_id == user.id, Upload.deleted.is_(None)
    )
    earlier = session.scalars(query).all()
    free = [mask for mask in earlier if not _is_held(session, mask)]
    for mask in free:
        delete_upload(session, user, mask.id)
    return len(free), len(earlier) - len(free)


def _is_held(session: Session, mask: Upload) -> bool:
    uses = (
        select(JobFile).where(JobFile.upload_id == mask.id),
        select(GroupFile).where(GroupFile.upload_id == mask.id),
        select(Correction).where(Correction.image_id == mask.id),
    )
    if session.scalar(select(or_(*(use.exists() for use in uses)))):
        return True
    since = select(Snapshot.manifest).where(Snapshot.created >= mask.created - CLOCKS_S)
    return any(
        pair["mask_id"] == mask.id
        for manifest in session.scalars(since)
        for pair in manifest["pairs"]
    )


def training_pairs(session: Session) -> list[TrainingPair]:
    """Return the pairs that may serve to train now: each image's latest mask."""
    image, mask = aliased(Upload), aliased(Upload)
    rows = session.execute(
        select(Correction, image, mask)
        .join(image, image.id == Correction.image_id)
        .join(mask, mask.id == Correction.mask_id)
        .where(
            image.deleted.is_(None),
            mask.deleted.is_(None),
            image.may_train.is_(True),
            mask.may_train.is_(True),
        )
        .order_by(Correction.created, Correction.id)
    ).all()
    latest = {
        correction.image_id: TrainingPair(
            correction.image_id,
            correction.mask_id,
            i.sha256,
            m.sha256,
            i.file_name,
            m.file_name,
            _sample(i),
        )
        for correction, i, m in rows
    }
    return sorted(latest.values(), key=lambda pair: (pair.sample, pair.image, pair.image_id))


def withdraw(session: Session, upload_id: str, user: User) -> list[UsedBy]:
    """Take an upload out of all later training; return what has used it already.

    Raises
    ------
    ValueError
        When it is neither the user's own nor the user an admin.
    """
    upload = session.get(Upload, upload_id)
    if upload is None or (upload.user_id != user.id and user.role != "admin"):
        raise ValueError(
            f"an upload must be your own to be withdrawn, got {upload_id}; see your files for "
            "their ids"
        )
    upload.may_train = False
    record_event(session, user.email, "training withdraw", upload_id, {"sha256": upload.sha256})
    return used_by(session, upload_id)


def used_by(session: Session, upload_id: str) -> list[UsedBy]:
    """Return the snapshots that hold an upload, with the models that were trained on them."""
    uses = []
    for snapshot in session.scalars(select(Snapshot).order_by(Snapshot.created)):
        used_ids = {
            pair[key] for pair in snapshot.manifest["pairs"] for key in ("image_id", "mask_id")
        }
        if upload_id not in used_ids:
            continue
        runs = session.scalars(
            select(Retraining).where(Retraining.snapshot_sha256 == snapshot.sha256)
        ).all()
        # A package says itself what it was trained on, wherever it was trained.
        packages = [
            package
            for package in session.scalars(select(Package))
            if (package.manifest.get("training_data") or {}).get("snapshot") == snapshot.sha256
        ]
        uses.append(
            UsedBy(
                snapshot.sha256,
                tuple(run.id for run in runs),
                tuple(
                    f"{package.name}@{package.version} ({package.state})" for package in packages
                ),
            )
        )
    return uses


def _sample(upload: Upload) -> str:
    """Return whose specimen it is; what one user left unnamed counts as one specimen.

    Too few samples cost some data; one specimen in two parts would make the hold-out lie. It stays
    the giver's when the file is handed over, since a specimen keeps its part for ever.
    """
    return f"{upload.giver_id or upload.user_id}/{upload.sample or 'unnamed'}"
