"""Corrected masks of segmented micrographs, given by users to train later models on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from bl_steer.server.db.tables import Upload, User
from bl_steer.server.errors import Refused, missing
from bl_steer.server.jobs.history import job_of
from bl_steer.server.retraining.cuts import Painted, known_cut, painted_image
from bl_steer.server.retraining.mask_check import check_mask
from bl_steer.server.retraining.pairs import add_correction
from bl_steer.server.retraining.proposal import propose
from bl_steer.server.sandbox.run import SandboxMissing
from bl_steer.server.uploads.file_types import inspect_file
from bl_steer.server.uploads.multipart import Arrival
from bl_steer.server.uploads.uploads import Arrived, clean_name, take_in, upload_of
from bl_steer.server.viewing.views import images_of, phases_of_job, view_named
from bl_steer.server.web.authorization import read_upload_form
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser
from bl_steer.server.web.routes import pages_router
from bl_steer.server.web.routes.files import take_all
from bl_steer.server.web.routes.jobs import show_job

__all__ = ["phases_of", "router", "take_mask"]

router = pages_router()


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
            image, _, notes = await run_in_threadpool(
                take_mask, context, user, job_id, image_id, arrival
            )
        except Refused as problem:
            return await run_in_threadpool(show, mask_trouble=problem)
    return await run_in_threadpool(show, mask_given=image.file_name, mask_notes=notes)


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
) -> tuple[Upload, Upload, Sequence[str]]:
    """Check a mask, keep it, and pair it with its micrograph; return both, and how it was read.

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
        add_correction(session, micrograph.id, masks[0].id, user)
    return micrograph, masks[0], notes


def _painted(context: Context, user: User, job_id: str, view: str, arrival: Arrival) -> Painted:
    typed = arrival.fields.get("plane", "")
    plane = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 7 else 0
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
    with context.database.read() as session:
        known = known_cut(session, user.id, image.cut_of)
    return known or take_in(
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
        raise Refused(422, "refused.mask_colours", paints=paints, reason=check.reason)
    if check.problem == "several":
        raise Refused(422, "refused.mask_several", file=image.name, number=check.got)
    if check.problem == "ended":
        raise Refused(422, "refused.mask_ended")
    if check.problem == "unread":
        raise Refused(422, "refused.mask_unread", reason=check.reason)
    return check.notes


def _colour(paint: list[int] | None) -> str:
    return "–" if paint is None else f"({', '.join(map(str, paint))})"
