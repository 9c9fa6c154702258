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
from bl_steer.server.retraining.mask_check import check_mask
from bl_steer.server.retraining.pairs import add_correction
from bl_steer.server.retraining.proposal import propose
from bl_steer.server.sandbox.run import SandboxMissing
from bl_steer.server.uploads.file_types import inspect_file
from bl_steer.server.uploads.multipart import Arrival
from bl_steer.server.uploads.uploads import clean_name, upload_of
from bl_steer.server.viewing.views import view_named
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

    def image_of() -> Upload:
        with context.database.read() as session:
            job = job_of(session, user.id, job_id)
            return upload_of(session, user.id, view_named(session, job, view).upload_id)

    image = await run_in_threadpool(image_of)  # before anything of the body
    with context.arrival() as arrival:
        await read_upload_form(request, arrival)
        if not arrival.files:
            raise Refused(422, "refused.no_file_given")
        labels = await run_in_threadpool(
            propose,
            context.store.path_for(image.sha256, arrival.folder),
            arrival.files[0].path,
            Path(image.file_name).suffix.lower(),
            settings=context.settings,
        )
    return Response(labels, media_type="application/octet-stream")


def phases_of(context: Context, user: User, job_id: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the files and the phases of a segmentation; `Refused` where it is none."""
    with context.database.read() as session:
        job = job_of(session, user.id, job_id)
        phases = job.provenance.get("phases") if job.state == "done" else None
        if job.analysis != "segment" or not phases:
            raise Refused(409, "refused.mask_of")
        return list(job.upload_ids), list(phases)


def take_mask(
    context: Context, user: User, job_id: str, image_id: str, arrival: Arrival
) -> tuple[Upload, Upload, Sequence[str]]:
    """Check a mask, keep it, and pair it with its micrograph; return both, and how it was read."""
    files, phases = phases_of(context, user, job_id)
    image_id = image_id or (files[0] if len(files) == 1 else "")
    if image_id not in files:
        raise missing("file")
    if not arrival.files:
        raise Refused(422, "refused.no_file_given")
    with context.database.read() as session:
        image = upload_of(session, user.id, image_id)
    if not image.may_train:
        raise Refused(409, "refused.not_for_training", file=image.file_name)
    notes = _check(context, image, phases, arrival)
    masks, refused = take_all(context, user, arrival, may_train=True, sample=image.sample)
    if refused:
        raise refused[0]
    with context.database.write() as session:
        add_correction(session, image.id, masks[0].id, user)
    return image, masks[0], notes


def _check(
    context: Context, image: Upload, phases: list[dict[str, Any]], arrival: Arrival
) -> Sequence[str]:
    """Return how a mask was read; `Refused` where it does not fit its micrograph."""
    file = arrival.files[0]
    name = clean_name(file.file_name)
    inspect_file(file.path, name)
    try:
        check = check_mask(
            context.store.path_for(image.sha256, arrival.folder),
            file.path,
            names=(image.file_name, name),
            phases=phases,
            settings=context.settings,
        )
    except SandboxMissing as error:
        raise Refused(503, "refused.no_sandbox") from error
    if check.problem == "size":
        raise Refused(
            422, "refused.mask_size", file=image.file_name, wanted=check.wanted, got=check.got
        )
    if check.problem == "colours":
        paints = ", ".join(f"{phase['name']} {_colour(phase['paint'])}" for phase in phases)
        raise Refused(422, "refused.mask_colours", paints=paints, reason=check.reason)
    if check.problem == "several":
        raise Refused(422, "refused.mask_several", file=image.file_name, number=check.got)
    if check.problem == "ended":
        raise Refused(422, "refused.mask_ended")
    if check.problem == "unread":
        raise Refused(422, "refused.mask_unread", reason=check.reason)
    return check.notes


def _colour(paint: list[int] | None) -> str:
    return "–" if paint is None else f"({', '.join(map(str, paint))})"
