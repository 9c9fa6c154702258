"""Corrected masks of segmented micrographs, given by users to train later models on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from bl_steer.server.db.tables import Upload, User
from bl_steer.server.errors import Refused, missing
from bl_steer.server.jobs.history import job_of
from bl_steer.server.languages import Sentence, text
from bl_steer.server.retraining.cuts import Painted, painted_image
from bl_steer.server.retraining.mask_check import check_mask
from bl_steer.server.retraining.pairs import add_correction, delete_earlier
from bl_steer.server.retraining.proposal import propose
from bl_steer.server.sandbox.run import SandboxMissing
from bl_steer.server.texts import plain_number
from bl_steer.server.uploads.file_types import inspect_file
from bl_steer.server.uploads.multipart import Arrival
from bl_steer.server.uploads.uploads import Arrived, clean_name, take_in, upload_of
from bl_steer.server.viewing.views import images_of, phases_of_job, view_named
from bl_steer.server.web.authorization import read_upload_form
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser
from bl_steer.server.web.rendering import language_of
from bl_steer.server.web.routes import pages_router
from bl_steer.server.web.routes.files import take_all
from bl_steer.server.web.routes.jobs import show_job

__all__ = ["TakenMask", "phases_of", "router", "take_mask"]

router = pages_router()


@dataclass(frozen=True)
class TakenMask:
    """A mask that was given.

    Parameters
    ----------
    image : its micrograph
    notes : how it was read
    deleted, kept : how many masks that its giver gave before for that image went, and stay
    """

    image: Upload
    mask: Upload
    notes: Sequence[str]
    deleted: int = 0
    kept: int = 0

    def earlier_in(self, language: str) -> list[str]:
        """Return what became of earlier masks, a sentence each."""
        keys = {"mask.replaced": self.deleted, "mask.earlier_kept": self.kept}
        return [text(language, key) for key, number in keys.items() if number]


@router.post("/jobs/{job_id}/masks")
async def give_mask(
    request: Request, context: AppContext, user: CurrentUser, job_id: str
) -> Response:
    """Take a mask from the form of a result page; say on that page whether it fits."""
    await run_in_threadpool(phases_of, context, user, job_id)  # before anything of the body

    show = partial(show_job, request, context, user, job_id)
    with context.arrival() as arrival:
        await read_upload_form(request, arrival)
        image_id = arrival.fields.get("image", "")
        try:
            taken = await run_in_threadpool(take_mask, context, user, job_id, image_id, arrival)
        except Refused as problem:
            return await run_in_threadpool(show, mask_trouble=problem)
    language = language_of(request)
    told = text(language, "mask.given", file=taken.image.file_name)
    told = " ".join([told, *taken.earlier_in(language)])
    return await run_in_threadpool(show, mask_given=told, mask_notes=taken.notes)


@router.post("/jobs/{job_id}/views/{view}/proposal")
async def propose_labels(
    request: Request, context: AppContext, user: CurrentUser, job_id: str, view: str
) -> Response:
    """Take a mask of which a part is painted; return a label for each pixel, one byte each."""

    def check() -> None:
        with context.database.read() as session:
            view_named(session, job_of(session, user.id, job_id), view, given=False)

    def suggest() -> bytes:
        if not arrival.files:
            raise Refused(422, "refused.no_file_given")
        image = _painted(context, user, job_id, view, arrival)
        suffix = Path(image.name).suffix.lower()
        return propose(image.path, arrival.files[0].path, suffix, settings=context.settings)

    await run_in_threadpool(check)  # before anything of the body
    with context.arrival() as arrival:
        await read_upload_form(request, arrival)
        labels = await run_in_threadpool(suggest)
    return Response(labels, media_type="application/octet-stream")


def phases_of(context: Context, user: User, job_id: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the files and the phases of a segmentation; `Refused` where it is none."""
    with context.database.read() as session:
        job = job_of(session, user.id, job_id)
        phases = phases_of_job(job) if job.state == "done" else []
        if not phases:
            raise Refused(409, "refused.mask_of")
        return images_of(job), [phase.model_dump() for phase in phases]


def take_mask(
    context: Context, user: User, job_id: str, image_id: str, arrival: Arrival
) -> TakenMask:
    """Check a mask, keep it, and pair it with its micrograph, in the place of an earlier one.

    Parameters
    ----------
    image_id : the micrograph, of those of the job; where the form names a view instead, its image
        or plane
    """
    files, phases = phases_of(context, user, job_id)
    if not arrival.files:
        raise Refused(422, "refused.no_file_given")
    if view := arrival.fields.get("view", ""):
        image = _painted(context, user, job_id, view, arrival)
    else:
        image_id = image_id or (files[0] if len(files) == 1 else "")
        if image_id not in files:
            raise missing("file")
        with context.database.read() as session:
            upload = upload_of(session, user.id, image_id)
        path = context.store.path_for(upload.sha256, arrival.folder)
        image = Painted(upload, path, upload.file_name)
    if not image.upload.may_train:
        raise Refused(409, "refused.not_for_training", file=image.upload.file_name)
    notes = _check(context, image, phases, arrival)
    masks, refused = take_all(context, user, arrival, may_train=True, sample=image.upload.sample)
    if refused:
        raise refused[0]
    micrograph = _kept(context, user, image)
    with context.database.write() as session:
        correction = add_correction(session, micrograph.id, masks[0].id, user)
        deleted, kept = delete_earlier(session, correction, user)
    return TakenMask(micrograph, masks[0], notes, deleted, kept)


def _painted(context: Context, user: User, job_id: str, view: str, arrival: Arrival) -> Painted:
    typed = plain_number(arrival.fields.get("plane", "")) or "0"
    if not (typed.isascii() and typed.isdigit() and len(typed) < 7):
        raise missing("plane")
    plane = int(typed)
    with context.database.read() as session:
        job = job_of(session, user.id, job_id)
        return painted_image(
            session,
            job,
            view_named(session, job, view, given=False),
            plane,
            open_planes=partial(context.planes.open, store=context.store),
            store=context.store,
            folder=arrival.folder,
        )


def _kept(context: Context, user: User, image: Painted) -> Upload:
    """Return the file of an image; a plane of a stack becomes one, once."""
    if image.cut_of is None:
        return image.upload
    return take_in(
        context.database,
        context.store,
        user,
        Arrived(image.path, image.name),
        may_train=True,
        sample=image.upload.sample,
        cut_of=image.cut_of,
        quota_bytes=context.quota_bytes,
    )


def _check(
    context: Context, image: Painted, phases: list[dict[str, Any]], arrival: Arrival
) -> Sequence[str]:
    """Return how a mask was read; `Refused` where it does not fit its micrograph."""
    file = arrival.files[0]
    name = clean_name(file.file_name)
    inspect_file(file.path, name)
    try:
        check = check_mask(
            image.path,
            file.path,
            names=(image.name, name),
            phases=phases,
            settings=context.settings,
        )
    except SandboxMissing as error:
        raise Refused(503, "refused.no_sandbox") from error
    if check.problem == "size":
        raise Refused(422, "refused.mask_size", file=image.name, wanted=check.wanted, got=check.got)
    if check.problem == "colours":
        paints = ", ".join(f"{phase['name']} {_colour(phase['paint'])}" for phase in phases)
        raise Refused(422, "refused.mask_colours", paints=paints, reason=Sentence(check.reason))
    if check.problem == "several":
        raise Refused(422, "refused.mask_several", file=image.name, number=check.got)
    if check.problem == "ended":
        raise Refused(422, "refused.mask_ended")
    if check.problem == "unread":
        raise Refused(422, "refused.mask_unread", reason=Sentence(check.reason))
    return check.notes


def _colour(paint: list[int] | None) -> str:
    return "–" if paint is None else f"({', '.join(map(str, paint))})"
