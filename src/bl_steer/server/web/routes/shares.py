"""Results by share link: for whoever has it, without an account."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import Request, Response

from bl_steer.server.db.tables import User
from bl_steer.server.jobs.history import output_of, outputs_of
from bl_steer.server.jobs.shares import open_share
from bl_steer.server.uploads.downloads import file_response, zip_response
from bl_steer.server.viewing.views import phases_of_job, view_named
from bl_steer.server.web.dependencies import AppContext
from bl_steer.server.web.rendering import language_of, render
from bl_steer.server.web.routes import pages_router
from bl_steer.server.web.routes.jobs import job_values
from bl_steer.server.web.routes.views import (
    describe_result,
    layer_of,
    tile_answer,
    values_answer,
)

__all__ = ["router"]

router = pages_router()


@router.get("/s/{token}")
def shared_page(request: Request, context: AppContext, token: str) -> Response:
    """Show the result that a link opens."""
    with context.database.write_beside() as session:
        open_share(session, token, counts=True)
    with context.database.read() as session:
        job = open_share(session, token)
        owner = session.get(User, job.user_id)
        values = job_values(context, session, job, language_of(request), base=f"/s/{token}")
    name = (owner.name or owner.email.partition("@")[0]) if owner else "–"
    return render(request, "shared", **values, owner=name)


@router.get("/s/{token}/views/{view}")
def shared_scene(request: Request, context: AppContext, token: str, view: str) -> Response:
    """Return what there is to look at in a field or volume of that result."""
    with context.database.read() as session:
        job = open_share(session, token)
        found = view_named(session, job, view, given=False)
    base = f"/s/{token}/views/{quote(view)}"
    return _unkept(describe_result(request, context, job, found, base))


@router.get("/s/{token}/views/{view}/{layer}/tiles/{plane}/{step}/{x}/{y}")
def shared_tile(
    context: AppContext,
    token: str,
    view: str,
    layer: str,
    plane: int,
    step: int,
    x: int,
    y: int,
    phase: int = -1,
) -> Response:
    """Return a tile of that result as PNG."""
    with context.database.read() as session:
        job = open_share(session, token)
        shown = layer_of(view_named(session, job, view, given=False), layer)
    phases = phases_of_job(job)
    return _unkept(tile_answer(context, shown, layer, plane, (step, x, y), phase, phases))


@router.get("/s/{token}/views/{view}/{layer}/values/{plane}/{x}/{y}")
def shared_values(
    context: AppContext, token: str, view: str, layer: str, plane: int, x: int, y: int
) -> Response:
    """Return the values of a block of that result."""
    with context.database.read() as session:
        found = view_named(session, open_share(session, token), view, given=False)
    return _unkept(values_answer(context, layer_of(found, layer), plane, x, y))


@router.get("/s/{token}/outputs/{name}")
def shared_output(context: AppContext, token: str, name: str, download: str = "") -> Response:
    """Return one file of that result."""
    with context.database.read() as session:
        output = output_of(session, open_share(session, token).id, name)
    answer = file_response(
        context.store, output.sha256, output.name, output.media_type, save=bool(download)
    )
    return _unkept(answer)


@router.get("/s/{token}/all.zip")
def shared_all(context: AppContext, token: str) -> Response:
    """Return all files of that result as a zip."""
    with context.database.read() as session:
        job = open_share(session, token)
        outputs = outputs_of(session, job.id)
    return zip_response(context.store, outputs, f"{job.analysis}_{job.id[:8]}.zip")


def _unkept(answer: Response) -> Response:
    """Return an answer that no cache keeps: a revoked link shows nothing."""
    answer.headers["Cache-Control"] = "no-store"
    return answer
