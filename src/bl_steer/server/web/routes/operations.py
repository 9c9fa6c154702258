"""For operators: health, readiness, metrics; and the files that pages refer to."""

from __future__ import annotations

import time

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from bl_steer.server.db.tables import User, Worker
from bl_steer.server.errors import Refused, missing
from bl_steer.server.web.dependencies import AppContext, CurrentVisitor
from bl_steer.server.web.metrics import CONTENT_TYPE, server_metrics
from bl_steer.server.web.rendering import static_files
from bl_steer.server.web.routes import pages_router

__all__ = ["router"]

router = pages_router()


@router.get("/health")
async def health() -> Response:
    """Say that the process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/ready")
def ready(context: AppContext) -> Response:
    """Say whether database and files can be used, and since when no worker was heard of, s."""
    try:
        with context.database.read() as session:
            session.scalar(select(User.id).limit(1))
            seen = session.scalar(select(Worker.seen).order_by(Worker.seen.desc()).limit(1))
        context.store.has("0" * 64)
    except (SQLAlchemyError, OSError) as error:
        return JSONResponse({"status": "not ready", "reason": type(error).__name__}, 503)
    silence = None if seen is None else round(time.time() - seen, 1)
    return JSONResponse({"status": "ready", "workers_silent_s": silence})


@router.get("/metrics")
def metrics(request: Request, context: AppContext, visitor: CurrentVisitor) -> Response:
    """Return the metrics for Prometheus, to known addresses or with a key."""
    address = request.client.host if request.client else ""
    known = [
        address.strip()
        for address in context.settings.metrics_address.split(",")
        if address.strip()
    ]
    keyed = visitor.is_at_least("admin") and (
        visitor.scopes is None or "metrics:read" in visitor.scopes
    )
    if address not in known and not keyed:
        raise Refused(403, "refused.scope_needed", scope="metrics:read")
    return Response(server_metrics(context.requests, context.database), media_type=CONTENT_TYPE)


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """Return a file that pages refer to; the address changes with its content."""
    file = static_files().get(name)
    if file is None:
        raise missing("page")
    content, media_type, _ = file
    return Response(
        content,
        media_type=media_type,
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )
