"""What the viewer asks for: what there is to look at, tiles of it, and values; a file's page.

Whoever may have a file or a result may look at it, and nobody else.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from bl_steer.server.db.tables import Job, User
from bl_steer.server.errors import Refused, missing
from bl_steer.server.jobs.history import job_of
from bl_steer.server.languages import result_label, text
from bl_steer.server.retraining.queue import unsure_fields
from bl_steer.server.sizes import MIB, amount
from bl_steer.server.uploads.uploads import upload_of
from bl_steer.server.viewing import tiles
from bl_steer.server.viewing.planes import Planes
from bl_steer.server.viewing.scenes import colour_of, describe_view, pixel_size_of
from bl_steer.server.viewing.views import (
    Layer,
    ShownPhase,
    View,
    others_of,
    phases_of_job,
    view_named,
    view_of_upload,
)
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser
from bl_steer.server.web.rendering import language_of, render, time_in
from bl_steer.server.web.routes import pages_router

__all__ = ["router"]

router = pages_router()
MOST_PAINTED = 40 * MIB
"""Values of an image that is painted in a browser, bytes: one for each pixel."""
KEPT = {"Cache-Control": "private, max-age=3600, immutable"}


@router.get("/files/{upload_id}/view")
def file_page(request: Request, context: AppContext, user: CurrentUser, upload_id: str) -> Response:
    """Show a file as an image or a stack."""
    with context.database.read() as session:
        upload = upload_of(session, user.id, upload_id)
    return render(request, "file", upload=upload)


@router.get("/files/{upload_id}/layers")
def file_scene(
    request: Request, context: AppContext, user: CurrentUser, upload_id: str
) -> Response:
    """Return what there is to look at in a file."""
    view = _of_file(context, user, upload_id)
    return _described(request, context, view, f"/files/{upload_id}/layers")


@router.get("/files/{upload_id}/layers/{layer}/tiles/{plane}/{step}/{x}/{y}")
def file_tile(
    context: AppContext,
    user: CurrentUser,
    upload_id: str,
    layer: str,
    plane: int,
    step: int,
    x: int,
    y: int,
    phase: int = -1,
) -> Response:
    """Return a tile of a file as PNG."""
    shown = _layer(_of_file(context, user, upload_id), layer)
    return _tile(context, shown, layer, plane, (step, x, y), phase, [])


@router.get("/files/{upload_id}/layers/{layer}/values/{plane}/{x}/{y}")
def file_values(
    context: AppContext, user: CurrentUser, upload_id: str, layer: str, plane: int, x: int, y: int
) -> Response:
    """Return the values of a block of a file."""
    return _values(context, _layer(_of_file(context, user, upload_id), layer), plane, x, y)


@router.get("/jobs/{job_id}/views/{view}")
def job_scene(
    request: Request, context: AppContext, user: CurrentUser, job_id: str, view: str
) -> Response:
    """Return what there is to look at in a field or volume of a result."""
    with context.database.read() as session:
        job = job_of(session, user.id, job_id)
        found = view_named(session, job, view)
        others = others_of(session, job, found)
    language = language_of(request)
    titles = context.titles(language)
    zone = context.settings.time_zone
    return _described(
        request,
        context,
        found,
        _address(job, view),
        phases=phases_of_job(job),
        pixel_size_nm=pixel_size_of(job, view),
        paint=f"/jobs/{job_id}/paint/{quote(view)}" if phases_of_job(job) else "",
        others=[
            {
                "address": _address(other, name),
                "title": text(
                    language,
                    "view.other",
                    title=titles.get(other.analysis, other.analysis),
                    when=time_in(other.created, zone),
                ),
            }
            for other, name in others
        ],
    )


def _address(job: Job, view: str) -> str:
    return f"/jobs/{job.id}/views/{quote(view)}"


@router.get("/jobs/{job_id}/views/{view}/{layer}/tiles/{plane}/{step}/{x}/{y}")
def job_tile(
    context: AppContext,
    user: CurrentUser,
    job_id: str,
    view: str,
    layer: str,
    plane: int,
    step: int,
    x: int,
    y: int,
    phase: int = -1,
) -> Response:
    """Return a tile of a result as PNG."""
    with context.database.read() as session:
        job = job_of(session, user.id, job_id)
        shown = _layer(view_named(session, job, view), layer)
    return _tile(context, shown, layer, plane, (step, x, y), phase, phases_of_job(job))


@router.get("/jobs/{job_id}/views/{view}/{layer}/values/{plane}/{x}/{y}")
def job_values(
    context: AppContext,
    user: CurrentUser,
    job_id: str,
    view: str,
    layer: str,
    plane: int,
    x: int,
    y: int,
) -> Response:
    """Return the values of a block of a result."""
    with context.database.read() as session:
        shown = _layer(view_named(session, job_of(session, user.id, job_id), view), layer)
    return _values(context, shown, plane, x, y)


@router.get("/jobs/{job_id}/views/{view}/{layer}/planes/{plane}")
def job_plane(
    context: AppContext, user: CurrentUser, job_id: str, view: str, layer: str, plane: int
) -> Response:
    """Return all values of a plane, for whoever paints on it; `Refused` where it is too large."""
    with context.database.read() as session:
        shown = _layer(view_named(session, job_of(session, user.id, job_id), view), layer)
    planes, number = _plane(context, shown, plane)
    values = planes[number]
    if values.nbytes > MOST_PAINTED:
        raise Refused(413, "refused.too_large", most=amount(MOST_PAINTED))
    return Response(values.tobytes(), media_type="application/octet-stream", headers=KEPT)


@router.get("/jobs/{job_id}/paint/{view}")
def paint_page(
    request: Request, context: AppContext, user: CurrentUser, job_id: str, view: str
) -> Response:
    """Show an image of a segmentation to paint a mask over it."""
    language = language_of(request)
    with context.database.read() as session:
        job = job_of(session, user.id, job_id)
        found = view_named(session, job, view)
        phases = phases_of_job(job)
        if not found.upload_id or "labels" not in found.layers or not phases:
            raise Refused(409, "refused.mask_of")
        upload = upload_of(session, user.id, found.upload_id)
        next_field = next(iter(unsure_fields(session, user.id, without=upload.id)), None)
    return render(
        request,
        "paint",
        job=job,
        upload=upload,
        scene=_address(job, view),
        next_field=next_field,
        phases=[(phase, result_label(language, "values.phase", phase.name)) for phase in phases],
    )


def _of_file(context: Context, user: User, upload_id: str) -> View:
    with context.database.read() as session:
        return view_of_upload(upload_of(session, user.id, upload_id))


def _described(
    request: Request, context: Context, view: View, base: str, **values: Any
) -> Response:
    language = language_of(request)
    opened = partial(context.planes.open, store=context.store)
    try:
        described = describe_view(view, opened, base=base, language=language, **values)
    except Refused as refused:
        return JSONResponse({"message": refused.in_language(language)}, refused.status)
    return JSONResponse(described)


def _layer(view: View, name: str) -> Layer:
    if name not in view.layers:
        raise missing("output")
    return view.layers[name]


def _plane(context: Context, layer: Layer, number: int) -> tuple[Planes, int]:
    planes = context.planes.open(layer.stored, context.store)
    return planes, number if layer.plane is None else layer.plane


def _tile(
    context: Context,
    layer: Layer,
    name: str,
    number: int,
    at: tuple[int, int, int],
    phase: int,
    phases: list[ShownPhase],
) -> Response:
    planes, number = _plane(context, layer, number)
    plane = planes[number]
    if phase >= 0:
        content = tiles.phase_tile(plane, phase, colour_of(phase, phases), *at)
    elif name == "uncertainty":
        content = tiles.uncertainty_tile(plane, planes.info, *at)
    else:
        content = tiles.grey_tile(plane, planes.info, *at)
    return Response(content, media_type="image/png", headers=KEPT)


def _values(context: Context, layer: Layer, number: int, x: int, y: int) -> Response:
    planes, number = _plane(context, layer, number)
    content = tiles.values_of(planes[number], x, y)
    return Response(content, media_type="application/octet-stream", headers=KEPT)
