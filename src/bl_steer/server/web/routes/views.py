"""What the viewer asks for: what there is to look at, tiles of it, and values; a file's page.

Whoever may have a file or a result may look at it, and nobody else.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse

from bl_steer.server.auth.groups import called, shared_with
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
    cut_key,
    others_of,
    phases_of_job,
    view_named,
    view_of_upload,
    views_of,
)
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, AsTyped, CurrentUser, OwnerId
from bl_steer.server.web.rendering import language_of, render, time_in
from bl_steer.server.web.routes import pages_router

__all__ = ["describe_result", "layer_of", "router", "tile_answer", "values_answer"]

router = pages_router()
MOST_PAINTED = 40 * MIB
"""Values of an image that is painted in a browser, bytes: one for each pixel."""
KEPT = {"Cache-Control": "private, max-age=3600, immutable"}


@router.get("/files/{upload_id}/view")
def file_page(
    request: Request, context: AppContext, user: CurrentUser, owner_id: OwnerId, upload_id: str
) -> Response:
    """Show a file as an image or a stack."""
    with context.database.read() as session:
        upload = upload_of(session, owner_id, upload_id)
        owner = session.get_one(User, owner_id)
        groups = shared_with(session, upload_id=upload.id) if owner_id == user.id else []
        titles = called(session, groups, user.id)
    return render(request, "file", upload=upload, owner=owner, groups=groups, called=titles)


@router.get("/files/{upload_id}/layers")
def file_scene(
    request: Request, context: AppContext, owner_id: OwnerId, upload_id: str
) -> Response:
    """Return what there is to look at in a file."""
    view = _of_file(context, owner_id, upload_id)
    return _described(request, context, view, f"/files/{upload_id}/layers")


@router.get("/files/{upload_id}/layers/{layer}/tiles/{plane}/{step}/{x}/{y}")
def file_tile(
    context: AppContext,
    owner_id: OwnerId,
    upload_id: str,
    layer: str,
    plane: int,
    step: int,
    x: int,
    y: int,
    phase: int = -1,
) -> Response:
    """Return a tile of a file as PNG."""
    shown = layer_of(_of_file(context, owner_id, upload_id), layer)
    return tile_answer(context, shown, layer, plane, (step, x, y), phase, [])


@router.get("/files/{upload_id}/layers/{layer}/values/{plane}/{x}/{y}")
def file_values(
    context: AppContext, owner_id: OwnerId, upload_id: str, layer: str, plane: int, x: int, y: int
) -> Response:
    """Return the values of a block of a file."""
    return values_answer(
        context, layer_of(_of_file(context, owner_id, upload_id), layer), plane, x, y
    )


@router.get("/jobs/{job_id}/views/{view}")
def job_scene(
    request: Request,
    context: AppContext,
    user: CurrentUser,
    owner_id: OwnerId,
    job_id: str,
    view: str,
) -> Response:
    """Return what there is to look at in a field or volume of a result."""
    with context.database.read() as session:
        job = job_of(session, owner_id, job_id)
        if owner_id != user.id:
            found = view_named(session, job, view, given=False)
            return describe_result(request, context, job, found, _address(job, view))
        found = view_named(session, job, view)
        others = others_of(session, job, found)
    language = language_of(request)
    titles = context.titles(language)
    zone = context.settings.time_zone
    return describe_result(
        request,
        context,
        job,
        found,
        _address(job, view),
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
    owner_id: OwnerId,
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
        job = job_of(session, owner_id, job_id)
        shown = layer_of(view_named(session, job, view, given=owner_id == user.id), layer)
    return tile_answer(context, shown, layer, plane, (step, x, y), phase, phases_of_job(job))


@router.get("/jobs/{job_id}/views/{view}/{layer}/values/{plane}/{x}/{y}")
def job_values(
    context: AppContext,
    user: CurrentUser,
    owner_id: OwnerId,
    job_id: str,
    view: str,
    layer: str,
    plane: int,
    x: int,
    y: int,
) -> Response:
    """Return the values of a block of a result."""
    with context.database.read() as session:
        job = job_of(session, owner_id, job_id)
        shown = layer_of(view_named(session, job, view, given=owner_id == user.id), layer)
    return values_answer(context, shown, plane, x, y)


@router.get("/jobs/{job_id}/views/{view}/{layer}/planes/{plane}")
def job_plane(
    context: AppContext, user: CurrentUser, job_id: str, view: str, layer: str, plane: int
) -> Response:
    """Return all values of a plane, for whoever paints on it; `Refused` where it is too large."""
    with context.database.read() as session:
        shown = layer_of(view_named(session, job_of(session, user.id, job_id), view), layer)
    planes, number = _plane(context, shown, plane)
    values = planes[number]
    if values.nbytes > MOST_PAINTED:
        raise Refused(413, "refused.too_large", most=amount(MOST_PAINTED))
    return Response(values.tobytes(), media_type="application/octet-stream", headers=KEPT)


@router.get("/jobs/{job_id}/paint/{view}")
def paint_page(
    request: Request,
    context: AppContext,
    user: CurrentUser,
    job_id: str,
    view: str,
    plane: Annotated[int, AsTyped, Query(ge=0, lt=10**6)] = 0,
) -> Response:
    """Show an image of a segmentation, or a plane of a stack, to paint a mask over it."""
    language = language_of(request)
    with context.database.read() as session:
        job = job_of(session, user.id, job_id)
        found = view_named(session, job, view)
        phases = phases_of_job(job)
        if not {"image", "labels"} <= set(found.layers) or not phases:
            raise Refused(409, "refused.mask_of")
        upload = upload_of(session, user.id, found.upload_id or job.upload_ids[0])
        painted = cut_key(job, found, found.page) if found.upload_id else ""
        pages = [one.page for one in views_of(session, job) if one.upload_id == upload.id]
        number = plane + 1 if not found.upload_id else found.page + 1 if any(pages) else None
        next_field = next(iter(unsure_fields(session, user.id, without=painted).fields), None)
    return render(
        request,
        "paint",
        job=job,
        upload=upload,
        view=view,
        plane=plane,
        slice=number,
        scene=_address(job, view),
        next_field=next_field,
        phases=[(phase, result_label(language, "values.phase", phase.name)) for phase in phases],
    )


def describe_result(
    request: Request, context: Context, job: Job, view: View, base: str, **values: Any
) -> Response:
    """Return what there is to look at in a view of a result.

    Parameters
    ----------
    base : address that those of the layers begin with
    """
    size = pixel_size_of(job, view.name)
    phases = phases_of_job(job)
    return _described(request, context, view, base, phases=phases, pixel_size_nm=size, **values)


def _of_file(context: Context, owner_id: str, upload_id: str) -> View:
    with context.database.read() as session:
        return view_of_upload(upload_of(session, owner_id, upload_id))


def _described(
    request: Request, context: Context, view: View, base: str, **values: Any
) -> Response:
    language = language_of(request)
    context.planes.prepare([layer.stored for layer in view.layers.values()], context.store)
    opened = partial(context.planes.open, store=context.store)
    try:
        described = describe_view(view, opened, base=base, language=language, **values)
    except Refused as refused:
        return JSONResponse({"message": refused.in_language(language)}, refused.status)
    return JSONResponse(described)


def layer_of(view: View, name: str) -> Layer:
    """Return a layer of a view; `Refused` where there is none."""
    if name not in view.layers:
        raise missing("output")
    return view.layers[name]


def _plane(context: Context, layer: Layer, number: int) -> tuple[Planes, int]:
    planes = context.planes.open(layer.stored, context.store)
    return planes, number if layer.plane is None else layer.plane


def tile_answer(
    context: Context,
    layer: Layer,
    name: str,
    number: int,
    at: tuple[int, int, int],
    phase: int,
    phases: list[ShownPhase],
) -> Response:
    """Return a tile as PNG.

    Parameters
    ----------
    number : of the plane
    at : step, column and row of the tile
    phase : the label that is drawn; negative for grey levels or uncertainty
    """
    planes, number = _plane(context, layer, number)
    plane = planes[number]
    if phase >= 0:
        content = tiles.phase_tile(plane, phase, colour_of(phase, phases), *at)
    elif name == "uncertainty":
        content = tiles.uncertainty_tile(plane, planes.info, *at)
    else:
        content = tiles.grey_tile(plane, planes.info, *at)
    return Response(content, media_type="image/png", headers=KEPT)


def values_answer(context: Context, layer: Layer, number: int, x: int, y: int) -> Response:
    """Return the values of a block of a plane."""
    planes, number = _plane(context, layer, number)
    content = tiles.values_of(planes[number], x, y)
    return Response(content, media_type="application/octet-stream", headers=KEPT)
