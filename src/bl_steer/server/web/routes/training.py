"""A user's pairs to train on, what to paint next, and retrainings with their scores."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from bl_steer.server.db.tables import Package, Retraining, User
from bl_steer.server.errors import Refused, missing
from bl_steer.server.retraining.queue import pairs_of, unsure_fields
from bl_steer.server.retraining.run import Retrainings
from bl_steer.server.retraining.schedule import open_retraining
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser
from bl_steer.server.web.rendering import render
from bl_steer.server.web.routes import pages_router

__all__ = ["router"]

router = pages_router()
LATEST = 10


@router.get("/training")
def training_page(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """Show what to paint next, the user's pairs, and the latest retrainings."""
    return _show(request, context, user)


@router.post("/training")
def retrain(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """Queue a retraining on all pairs that may be used; housekeeping carries it out."""
    retrainings = Retrainings(context.settings, context.database)
    try:
        begun = retrainings.begin(actor=user.email, unless=lambda s: open_retraining(s) is not None)
    except ValueError as error:
        refused = Refused(409, "refused.too_few_pairs", reason=str(error))
        return _show(request, context, user, refused)
    if not begun:
        return _show(request, context, user, Refused(409, "refused.retraining_open"))
    return RedirectResponse("/training#retrainings", 303)


@router.post("/training/{retraining_id}/submit")
def submit(
    request: Request, context: AppContext, user: CurrentUser, retraining_id: str
) -> Response:
    """Put a candidate into review, in the name of whoever asks; go on to its page there."""
    with context.database.read() as session:
        row = session.get(Retraining, retraining_id)
        if row is None or row.state != "done":
            raise missing("retraining")
        submitted = row.package_sha256
    try:
        submitted = submitted or Retrainings(context.settings, context.database).submit(
            retraining_id, user
        )
    except (OSError, ValueError) as error:  # on another machine; by somebody else meanwhile
        refused = Refused(409, "refused.candidate", reason=str(error), id=retraining_id[:8])
        return _show(request, context, user, refused)
    return RedirectResponse(f"/packages/{submitted}", 303)


def _show(
    request: Request, context: Context, user: User, refused: Refused | None = None
) -> Response:
    with context.database.read() as session:
        latest = select(Retraining).order_by(Retraining.created.desc()).limit(LATEST)
        retrainings = list(session.scalars(latest))
        hashes = [one.package_sha256 for one in retrainings if one.package_sha256]
        packages = session.scalars(select(Package).where(Package.sha256.in_(hashes)))
        return render(
            request,
            "training",
            refused=refused,
            fields=unsure_fields(session, user.id),
            pairs=pairs_of(session, user.id),
            retrainings=retrainings,
            packages={package.sha256: package for package in packages},
            open=open_retraining(session) is not None,
        )
