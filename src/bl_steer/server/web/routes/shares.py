"""Results by share link: for whoever has it, without an account."""

from __future__ import annotations

from fastapi import Request, Response

from bl_steer.server.db.tables import User
from bl_steer.server.jobs.history import output_of, outputs_of
from bl_steer.server.jobs.shares import open_share
from bl_steer.server.uploads.downloads import file_response, zip_response
from bl_steer.server.web.dependencies import AppContext
from bl_steer.server.web.rendering import language_of, render
from bl_steer.server.web.routes import pages_router
from bl_steer.server.web.routes.jobs import job_values

__all__ = ["router"]

router = pages_router()


@router.get("/s/{token}")
def shared_page(request: Request, context: AppContext, token: str) -> Response:
    """Show the result that a link opens."""
    with context.database.write() as session:
        open_share(session, token, counts=True)
    with context.database.read() as session:
        job = open_share(session, token)
        owner = session.get(User, job.user_id)
        values = job_values(context, session, job, language_of(request))
    name = (owner.name or owner.email.partition("@")[0]) if owner else "–"
    return render(request, "shared", **values, owner=name, base=f"/s/{token}")


@router.get("/s/{token}/outputs/{name}")
def shared_output(context: AppContext, token: str, name: str, download: str = "") -> Response:
    """Return one file of that result."""
    with context.database.read() as session:
        output = output_of(session, open_share(session, token).id, name)
    answer = file_response(
        context.store, output.sha256, output.name, output.media_type, save=bool(download)
    )
    answer.headers["Cache-Control"] = "no-store"  # a revoked link shows nothing from a cache
    return answer


@router.get("/s/{token}/all.zip")
def shared_all(context: AppContext, token: str) -> Response:
    """Return all files of that result as a zip."""
    with context.database.read() as session:
        job = open_share(session, token)
        outputs = outputs_of(session, job.id)
    return zip_response(context.store, outputs, f"{job.analysis}_{job.id[:8]}.zip")
